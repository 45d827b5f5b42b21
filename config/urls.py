"""All addresses of the site."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # ours counts failures

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/email/", RedirectView.as_view(pattern_name="me"), name="account_email"),  # one address per person
    path("accounts/", include("allauth.urls")),
    path("api/", include("labeling.api.urls")),
    path("", include("labeling.urls")),
]
