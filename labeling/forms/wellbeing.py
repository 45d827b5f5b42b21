"""The survey's answers, the hours asked for, and a withdrawal with its reason."""

from typing import Any

from django import forms
from django.http import QueryDict

from labeling.services.survey import QUESTIONS


def read_survey(post: QueryDict, kind: str) -> dict[str, str]:
    return {question.name: post.get(question.name, "") for question in QUESTIONS[kind]}


DEFAULT_WEEKS = 4


class HoursForm(forms.Form):
    weeks = forms.ChoiceField(
        required=False,
        choices=[("4", "4 weeks"), ("8", "8 weeks"), ("26", "26 weeks"), ("52", "52 weeks")],
        label="Weeks",
    )
    emails = forms.BooleanField(required=False, label="With e-mail addresses")

    def num_weeks(self) -> int:
        return int(self.cleaned_data["weeks"] or DEFAULT_WEEKS) if self.is_valid() else DEFAULT_WEEKS


class WithdrawForm(forms.Form):
    reason = forms.CharField(max_length=300, help_text="Kept with the withdrawal, such as “asked for it by mail”.")
    is_sure = forms.BooleanField(
        label="I have read what this touches",
        error_messages={"required": "Tick that you have read what this touches. It cannot be undone."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].widget.attrs["autocomplete"] = "off"
