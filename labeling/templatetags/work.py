"""{% static_if_there 'vendor/x.js' %}: the file's address, or nothing where it was not installed."""

from django import template
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import HashedFilesMixin, staticfiles_storage

register = template.Library()


@register.simple_tag
def static_if_there(name: str) -> str:
    if not isinstance(staticfiles_storage, HashedFilesMixin):
        return staticfiles_storage.url(name) if finders.find(name) else ""
    try:
        return staticfiles_storage.url(name)
    except ValueError:  # not in the manifest
        return ""
