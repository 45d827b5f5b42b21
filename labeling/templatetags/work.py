"""Tags of the labeler's pages.

{% static_if_there 'vendor/x.js' %}   the file's address, or nothing where it was not installed
{% own_keys as keys %}                this person's keys by action: {{ keys.undo.sign }}, {{ keys.undo.aria }}
{{ keys|key_map }}                    the same for the handler: {"undo": "Backspace"}
"""

from collections.abc import Mapping

from django import template
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import HashedFilesMixin, staticfiles_storage
from django.template.context import RequestContext

from labeling.services import keys

register = template.Library()


@register.simple_tag
def static_if_there(name: str) -> str:
    if not isinstance(staticfiles_storage, HashedFilesMixin):
        return staticfiles_storage.url(name) if finders.find(name) else ""
    try:
        return staticfiles_storage.url(name)
    except ValueError:  # not in the manifest
        return ""


@register.simple_tag(takes_context=True)
def own_keys(context: RequestContext) -> dict[str, keys.Key]:
    return keys.of(context["user"])


@register.filter
def key_map(own: Mapping[str, keys.Key]) -> dict[str, str]:
    return {action: key.key for action, key in own.items()}
