"""Addresses of prompts, imports, tasks and rankings."""

from django.urls import URLPattern, path

from labeling.views import imports, prompt_care, prompts, rankings, tasks, writing

urlpatterns: list[URLPattern] = [
    path("prompts/", prompts.show_all, name="prompts"),
    path("prompts/add/", prompts.add, name="prompt_add"),
    path("prompts/select/", prompts.select, name="prompts_select"),
    path("prompts/similar/", prompt_care.similar, name="prompts_similar"),
    path("prompts/suggest/", prompt_care.take, name="prompts_suggest"),
    path("prompts/look/", prompt_care.look, name="prompts_look"),
    path("prompts/ask/", writing.ask, name="prompts_ask"),
    path("prompts/<uuid:uid>/", prompts.show, name="prompt"),
    path("responses/<uuid:uid>/clear/", prompts.clear_response, name="response_clear"),
    path("imports/", imports.show_all, name="imports"),
    path("imports/<uuid:uid>/", imports.show, name="import"),
    path("imports/<uuid:uid>/progress/", imports.progress, name="import_progress"),
    path("imports/<uuid:uid>/run/", imports.run, name="import_run"),
    path("imports/<uuid:uid>/forget/", imports.forget, name="import_forget"),
    path("imports/<uuid:uid>/refusals.csv", imports.refusals, name="import_refusals"),
    path("tasks/", tasks.show_all, name="tasks"),
    path("tasks/<uuid:uid>/", tasks.show, name="task"),
    path("tasks/<uuid:uid>/change/", tasks.change, name="task_change"),
    path("tasks/<uuid:uid>/state/", tasks.set_state, name="task_state"),
    path("rankings/", rankings.show_all, name="rankings"),
    path("rankings/<uuid:uid>/", rankings.show, name="ranking"),
    path("rankings/<uuid:uid>/void/", rankings.void, name="ranking_void"),
]
