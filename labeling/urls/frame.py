"""Addresses of the frame pages."""

from django.urls import URLPattern, path

from labeling.views import frame, keys, offline, people, progress, projects, wellbeing

urlpatterns: list[URLPattern] = [
    path("", frame.home, name="home"),
    path("theme/", frame.theme, name="theme"),
    path("sw.js", offline.service_worker, name="service_worker"),
    path("offline/", offline.offline, name="offline"),
    path("me/", people.me, name="me"),
    path("me/keys/", keys.keys, name="keys"),
    path("join/<str:token>/", people.join, name="join"),
    path("projects/", projects.project_list, name="projects"),
    path("projects/new/", projects.project_create, name="project_create"),
    path("enter/<slug:slug>/", frame.enter, name="enter"),
    path("p/<slug:slug>/search/", frame.search, name="search"),
    path("p/<slug:slug>/settings/", projects.project_settings, name="project_settings"),
    path("p/<slug:slug>/guidelines/", projects.guidelines, name="guidelines"),
    path("p/<slug:slug>/guidelines/<int:version>/", projects.guidelines, name="guideline"),
    path("p/<slug:slug>/guidelines/publish/", projects.guideline_publish, name="guideline_publish"),
    path("p/<slug:slug>/people/", people.people, name="people"),
    path("p/<slug:slug>/people/invite/", people.invite, name="invite"),
    path("p/<slug:slug>/people/invitations/<uuid:uid>/revoke/", people.revoke, name="invitation_revoke"),
    path("p/<slug:slug>/people/hours/", wellbeing.hours, name="hours"),
    path("p/<slug:slug>/people/hours.csv", wellbeing.hours_csv, name="hours_csv"),
    path("p/<slug:slug>/people/survey/", wellbeing.survey_counts, name="survey_counts"),
    path("p/<slug:slug>/people/<uuid:uid>/", people.person, name="person"),
    path("p/<slug:slug>/people/<uuid:uid>/deactivate/", people.deactivate, name="person_deactivate"),
    path("p/<slug:slug>/people/<uuid:uid>/reactivate/", people.reactivate, name="person_reactivate"),
    path("p/<slug:slug>/people/<uuid:uid>/withdraw/", wellbeing.withdraw, name="person_withdraw"),
    path("p/<slug:slug>/progress/", progress.show, name="progress"),
]
