"""Forms of people: invite, join, change, and one's own page."""

import re
from typing import Any

from django import forms
from django.contrib.auth import password_validation

from labeling.models import Invitation, Role, User

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
MAX_LANGUAGES = 20


class LanguagesField(forms.CharField):
    """ISO codes with commas or spaces between them."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "Codes such as en, de, pt-BR, with commas between them. Empty means any language."
        super().__init__(required=False, help_text=help_text, max_length=200, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        codes = [code for code in re.split(r"[\s,;]+", super().to_python(value) or "") if code]
        for code in codes:
            if not LANGUAGE.fullmatch(code):
                raise forms.ValidationError(f"“{code}” is not a language code. English is en, German de.")
        if len(codes) > MAX_LANGUAGES:
            raise forms.ValidationError(f"At most {MAX_LANGUAGES} languages.")
        return list(dict.fromkeys(codes))


class InviteForm(forms.ModelForm[Invitation]):
    class Meta:
        model = Invitation
        fields = ["role", "email"]
        labels = {"email": "For whom"}
        help_texts = {
            "email": "Their e-mail address, so that you can tell the links apart. Podium does not send it: you do.",
            "role": "Labelers rank; reviewers also decide where labelers differ; managers do everything.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = forms.ChoiceField(
            choices=Role.choices, initial=Role.LABELER, help_text=self.fields["role"].help_text
        )


class JoinForm(forms.Form):
    """A new person behind an invitation."""

    email = forms.EmailField(
        max_length=254, label="E-mail address", help_text="You log in with it.",
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )  # fmt: skip
    name = forms.CharField(
        max_length=120, label="Your name", help_text="Your team sees it. It is in no export.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )  # fmt: skip
    password = forms.CharField(
        strip=False, label="Password", help_text="At least 10 characters, not a common one.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip

    def __init__(self, *args: Any, invited: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if invited:
            self.fields["email"].initial = invited
            self.fields["email"].disabled = True

    def clean_email(self) -> str:
        email = User.objects.normalize_email(self.cleaned_data["email"])
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("There is an account with this address. Log in, then open the link again.")
        return email

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("password"):
            person = User(email=cleaned.get("email", ""), name=cleaned.get("name", ""))
            try:
                password_validation.validate_password(cleaned["password"], person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return cleaned


class PersonForm(forms.Form):
    """What a manager sets about a member."""

    role = forms.ChoiceField(choices=Role.choices)
    languages = LanguagesField()
    is_held_out = forms.BooleanField(
        required=False, label="Held out", help_text="Their rankings test models and never train them, in every project."
    )


class MeForm(forms.ModelForm[User]):
    languages = LanguagesField()

    class Meta:
        model = User
        fields = ["name", "languages"]
        help_texts = {"name": "As your team sees it."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = True
