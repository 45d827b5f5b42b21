"""A button of a page, pressed: what a browser would send of the form that it stands in."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


def press(client: Any, page: Any, button: str, **typed: str) -> Any:
    """Post the form of the button whose text begins so. `typed` is what a person changes in it first."""
    forms = Forms(page.content.decode()).found
    (form,) = [form for form in forms if any(text.startswith(button) for text in form.buttons)]
    unknown = typed.keys() - form.fields.keys()
    assert not unknown, f"the form of “{button}” has no field {unknown}"
    return client.post(form.action or page.request["PATH_INFO"], form.fields | typed)


class Forms(HTMLParser):
    """The forms of a page that are posted, filled in as the page fills them in. A button that is off is not there."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._textarea = ""
        self._is_button = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form" and given.get("method") == "post":
            self._form = Form(given.get("action", ""))
            self.found.append(self._form)
        elif self._form is not None:
            self._in_form(self._form, tag, given)

    def _in_form(self, form: Form, tag: str, given: dict[str, str]) -> None:
        name = given.get("name", "")
        if tag == "input" and name and _is_sent(given):
            form.fields[name] = given.get("value", "on" if given.get("type") == "checkbox" else "")
        elif tag == "textarea":
            self._textarea, form.fields[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in form.fields):
            form.fields[self._select] = given["value"]
        elif tag == "button" and "disabled" not in given:
            self._is_button = True
            form.buttons.append("")

    def handle_data(self, data: str) -> None:
        if self._form and self._textarea:
            self._form.fields[self._textarea] += data.removeprefix("\n")
        elif self._form and self._is_button:
            self._form.buttons[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        self._select = "" if tag == "select" else self._select
        self._textarea = "" if tag == "textarea" else self._textarea
        self._is_button = self._is_button and tag != "button"


def _is_sent(given: dict[str, str]) -> bool:
    kind = given.get("type", "text")
    return kind not in ("submit", "file") and (kind not in ("checkbox", "radio") or "checked" in given)
