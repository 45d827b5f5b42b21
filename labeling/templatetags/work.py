"""Tags of the labeler's pages.

{% static_if_there 'vendor/x.js' %}   the file's address, or nothing where it was not installed
{% page_keys "rank" as keys %}        a person's keys of a page, by action: {{ keys.undo.sign }}, {{ keys.undo.aria }}
{% page_keys "rank" "again" as keys %}  … where an answer is changed; "read": where it is only looked at
{{ keys|key_map }}                    the same for the handler: {"undo": "Backspace"}
{{ keys|key_of:"undo" }}              one of them, by a name that a variable holds
{% with_keys labels keys as rows %}   (label, is ticked, key) of labels with a key each
"""

from collections.abc import Mapping, Sequence

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
def page_keys(context: RequestContext, page: str, mode: str = "") -> dict[str, keys.Key]:
    return keys.on_page(context["user"], page, mode)


@register.simple_tag
def with_keys(labels: Sequence[tuple[str, bool]], own: Mapping[str, keys.Key]) -> list[tuple[str, bool, str]]:
    given = keys.for_labels(len(labels), besides=own)
    return [(label, is_ticked, key) for (label, is_ticked), key in zip(labels, given, strict=True)]


@register.filter
def key_of(own: Mapping[str, keys.Key], action: str) -> keys.Key | None:
    return own.get(action)


@register.filter
def key_map(own: Mapping[str, keys.Key]) -> dict[str, str]:
    return {action: key.key for action, key in own.items()}
