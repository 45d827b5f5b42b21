"""One's own keys: a field for each action. Empty is the default."""

from typing import Any

from django import forms

from labeling.models import User
from labeling.services import keys

PLAIN = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false", "data-key": ""}


class KeysForm(forms.Form):
    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        for action, key in keys.of(user).items():
            default = keys.ACTIONS[action][0]
            self.fields[action] = forms.CharField(
                required=False, max_length=20, strip=False, label=key.does.capitalize(), initial=key.key,
                help_text=f"{default} by default; empty means that." if key.is_own else "",
                widget=forms.TextInput(attrs=PLAIN),
            )  # fmt: skip

    def save(self) -> bool:
        """False when a key cannot be as asked for; the field says why."""
        try:
            keys.save(user=self.user, keys=self.cleaned_data)
        except keys.KeysError as error:
            for action, text in error.errors.items():
                self.add_error(action, text)
            return False
        return True
