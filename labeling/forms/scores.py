"""Forms of the pages that compare people with a reward model."""

from typing import Any

from django import forms

from labeling.models import Model, Project, Prompt, UseCase
from labeling.services.scores import reading
from labeling.services.scores.differences import Asked
from training.contract import configs

MAX_LABELERS = 50


class JudgeField(forms.ModelChoiceField[Model]):
    """A reward model that has scored something; without a choice the newest."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            queryset=Model.objects.none(),
            required=False,
            to_field_name="uid",
            empty_label=None,
            label="Reward model",
            **kwargs,
        )


class DifferencesForm(forms.Form):
    """Filters of the list. What is not known here counts as not given."""

    judge = JudgeField()
    use_case = forms.ChoiceField(required=False, choices=[("", "Any"), *UseCase.choices])
    language = forms.ChoiceField(required=False)
    labelers = forms.IntegerField(required=False, min_value=1, max_value=MAX_LABELERS, label="Labelers, at least")
    only_new = forms.BooleanField(required=False, label="Only prompts that did not train it")
    also_taken = forms.BooleanField(required=False, label="Also what is in review")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        judges = reading.judges(project)
        self.newest = judges.first()
        self.fields["judge"].queryset = judges  # type: ignore[attr-defined]
        self.fields["judge"].initial = self.newest and self.newest.uid
        known = Prompt.objects.filter(project=project).exclude(language="").order_by("language")
        languages = known.values_list("language", flat=True).distinct()
        self.fields["language"].choices = [("", "Any"), *((name, name) for name in languages)]  # type: ignore[attr-defined]

    def chosen_judge(self) -> Model | None:
        self.is_valid()
        return self.cleaned_data.get("judge") or self.newest

    def asked(self) -> Asked:
        self.is_valid()
        given = self.cleaned_data
        return Asked(
            use_case=given.get("use_case") or "",
            language=given.get("language") or "",
            min_labelers=given.get("labelers") or 1,
            only_new=bool(given.get("only_new")),
            only_open=not given.get("also_taken"),
        )


class CurveForm(forms.Form):
    """A run of the stage of curves, its options by a preset."""

    model = forms.ModelChoiceField(
        queryset=Model.objects.none(),
        to_field_name="uid",
        empty_label=None,
        label="Start from",
        help_text="The policy that reward models are made of.",
    )
    preset = forms.ChoiceField(choices=[(name, name) for name in configs.PRESETS])
    num_seeds = forms.IntegerField(
        min_value=2, max_value=100, initial=3, label="Seeds", help_text="More make the intervals narrower."
    )
    idempotency_key = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        policies = Model.objects.filter(project=project, kind=Model.Kind.POLICY, is_retired=False)
        self.fields["model"].queryset = policies.order_by("-is_current", "-created_at")  # type: ignore[attr-defined]
