"""The playground's forms: whom to talk to, what to say, what to send on."""

import uuid
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.forms.boundfield import BoundField

from labeling.forms.prompts import language
from labeling.models import (
    MAX_RESPONSES_FOR_PEOPLE,
    MIN_RESPONSES,
    Model,
    PlaygroundReply,
    PlaygroundTurn,
    Project,
    UseCase,
)
from labeling.services import playground
from labeling.services.playground import Kind, Sampling

MAX_OVERLAP = 50
SETTINGS = ("temperature", "top_p", "max_new_tokens", "seed")


def _key() -> forms.CharField:
    return forms.CharField(max_length=64, widget=forms.HiddenInput, initial=lambda: uuid.uuid4().hex)


class OpenForm(forms.Form):
    """Policies and reward models that are not retired."""

    first_model = forms.ModelChoiceField(queryset=Model.objects.none(), label="Talk to", to_field_name="uid")
    second_model = forms.ModelChoiceField(
        queryset=Model.objects.none(), required=False, label="Beside it", empty_label="nobody", to_field_name="uid"
    )
    reward_model = forms.ModelChoiceField(
        queryset=Model.objects.none(), required=False, label="Scored by", empty_label="nobody", to_field_name="uid"
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = Model.objects.filter(project=project, is_retired=False).order_by("-is_current", "-created_at", "-pk")
        for name, kind in (
            ("first_model", Model.Kind.POLICY),
            ("second_model", Model.Kind.POLICY),
            ("reward_model", Model.Kind.REWARD),
        ):
            self.fields[name].queryset = offered.filter(kind=kind)  # type: ignore[attr-defined]
        self._begin_with("first_model", "reward_model")
        self.fields["first_model"].empty_label = None  # type: ignore[attr-defined]

    def _begin_with(self, *names: str) -> None:
        """The current policy and the newest reward model, unless the address names others."""
        for name in names:
            newest: Model | None = self.fields[name].queryset.first()  # type: ignore[attr-defined]
            if newest and not self.initial.get(name):
                self.initial[name] = newest.uid

    @property
    def has_policies(self) -> bool:
        found: QuerySet[Model] = self.fields["first_model"].queryset  # type: ignore[attr-defined]
        return found.exists()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("first_model") and cleaned.get("first_model") == cleaned.get("second_model"):
            self.add_error("second_model", "Choose another one than the first, or nobody.")
        return cleaned


class SayForm(forms.Form):
    text = forms.CharField(
        label="Your message", strip=False, max_length=60_000, widget=forms.Textarea(attrs={"rows": 3})
    )
    goes_on_from = forms.ChoiceField(choices=PlaygroundTurn.GoesOnFrom.choices, required=False, label="Go on")
    temperature = forms.FloatField(
        min_value=0.0,
        max_value=10.0,
        widget=forms.NumberInput(attrs={"step": "0.1"}),
        help_text="0 takes the likeliest token each time, 1 samples as the model is.",
    )
    top_p = forms.FloatField(
        min_value=0.01,
        max_value=1.0,
        label="Top-p",
        widget=forms.NumberInput(attrs={"step": "0.01"}),
        help_text="Only the likeliest tokens that together have this probability.",
    )
    max_new_tokens = forms.IntegerField(
        min_value=4, max_value=32_768, label="Longest answer", help_text="In tokens; a longer one is cut."
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, help_text="The same seed gives the same answer.")
    idempotency_key = _key()

    def __init__(self, *args: Any, last: PlaygroundTurn | None, num_models: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sampling = playground.sampling_of(last) if last else Sampling()
        for name in SETTINGS:
            self.fields[name].initial = getattr(sampling, name)
        if last is None or num_models < 2:
            del self.fields["goes_on_from"]

    def settings(self) -> list[BoundField]:
        """What is folded away."""
        return [self[name] for name in SETTINGS]

    @property
    def has_wrong_setting(self) -> bool:
        return any(self[name].errors for name in SETTINGS)

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if not text.strip():
            raise forms.ValidationError("Write something first.")
        return text

    def sampling(self) -> Sampling:
        return Sampling(**{name: self.cleaned_data[name] for name in SETTINGS})


class MoreForm(forms.Form):
    num = forms.IntegerField(
        min_value=1, max_value=MAX_RESPONSES_FOR_PEOPLE - 1, initial=2, label="Further samples of each model"
    )


class _KindForm(forms.Form):
    """What the prompt is, for a project that does not have it yet."""

    use_case = forms.ChoiceField(choices=UseCase.choices, initial=UseCase.CHAT)
    language = forms.CharField(max_length=16, required=False, help_text="A code such as en. Empty: guessed by script.")

    def clean_language(self) -> str:
        return language(self.cleaned_data["language"])

    def kind(self) -> Kind:
        return Kind(use_case=self.cleaned_data["use_case"], language=self.cleaned_data["language"])


class RankForm(_KindForm):
    replies = forms.ModelMultipleChoiceField(
        queryset=PlaygroundReply.objects.none(),
        to_field_name="uid",
        error_messages={"required": f"Choose {MIN_RESPONSES} to {MAX_RESPONSES_FOR_PEOPLE} answers."},
    )
    num_wanted = forms.IntegerField(
        min_value=1, max_value=MAX_OVERLAP, label="Judgements", help_text="By so many different people."
    )
    field_order = ("replies", "num_wanted", "use_case", "language")

    def __init__(self, *args: Any, turn: PlaygroundTurn, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["replies"].queryset = turn.replies.all()  # type: ignore[attr-defined]
        self.fields["num_wanted"].initial = turn.session.project.overlap


class DemonstrationForm(_KindForm):
    text = forms.CharField(
        label="The answer as it should be",
        strip=False,
        max_length=60_000,
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text="Change it as you like: it is saved as yours.",
    )
    idempotency_key = _key()
    field_order = ("text", "use_case", "language")
