"""A human evaluation as a form: which models meet, on which prompts, how they sample."""

from typing import Any

from django import forms
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from labeling.models import (
    HELD_OUT,
    MAX_JUDGEMENTS,
    MAX_RESPONSES_FOR_PEOPLE,
    Evaluation,
    Model,
    Project,
    Prompt,
    Response,
    Run,
    Split,
    Stage,
)
from labeling.services import evaluations
from labeling.services.evaluations import EvaluationError, Wish
from labeling.services.evaluations.more import DEFAULT_PERCENT
from training.contract import configs

MAX_SEED = 2**31 - 10_000


class EvaluationForm(forms.Form):
    """`wish` is what was asked, once the form is valid."""

    name = forms.CharField(max_length=120, required=False, help_text="Leave it empty for the next number.")
    baseline = forms.ModelChoiceField(
        queryset=Model.objects.none(),
        empty_label="Choose a model",
        help_text="The others are measured against it: often SFT, or the policy before.",
    )
    models = forms.ModelMultipleChoiceField(
        queryset=Model.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        label="Models to compare with it",
        help_text=f"{MAX_RESPONSES_FOR_PEOPLE} models at most, the baseline among them. Labelers never see a name.",
    )
    kind = forms.ChoiceField(choices=Evaluation.Kind.choices, label="How they meet", widget=forms.RadioSelect)
    splits = forms.MultipleChoiceField(
        choices=[],
        widget=forms.CheckboxSelectMultiple,
        label="Prompts",
        help_text="None trains a model. Validation prompts choose checkpoints; test prompts not even that.",
    )
    num_prompts = forms.IntegerField(
        min_value=1, max_value=evaluations.MAX_PROMPTS, initial=100, label="How many prompts", help_text="By lot."
    )
    num_wanted = forms.IntegerField(
        min_value=1, max_value=MAX_JUDGEMENTS, label="Judgements per task", help_text="By so many different people."
    )
    rate_first = forms.BooleanField(
        required=False,
        label="Rate each response first",
        help_text="1 to 7 and flags, for the table by model. Without it two responses are compared by one key.",
    )
    priority = forms.IntegerField(min_value=-100, max_value=100, initial=0, help_text="Higher is handed out first.")

    preset = forms.ChoiceField(choices=[(name, name) for name in configs.PRESETS], help_text="For all not named here.")
    temperature = forms.FloatField(min_value=0, max_value=10, widget=forms.NumberInput(attrs={"step": "any"}))
    top_p = forms.FloatField(
        min_value=0.01, max_value=1, label="Top p", widget=forms.NumberInput(attrs={"step": "any"})
    )
    max_prompt_tokens = forms.IntegerField(min_value=8, max_value=32_768)
    max_new_tokens = forms.IntegerField(min_value=4, max_value=32_768)
    seed = forms.IntegerField(
        min_value=0, max_value=MAX_SEED, initial=1, help_text="The same seed draws the same prompts and sides."
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        kwargs["initial"] = _initial(project) | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        self.project = project
        self.wish: Wish | None = None
        for name in ("baseline", "models"):
            self.fields[name].queryset = can_answer(project)  # type: ignore[attr-defined]
        self.fields["splits"].choices = _splits(project)  # type: ignore[attr-defined]

    def main_fields(self) -> list[forms.BoundField]:
        names = ("name", "baseline", "models", "kind", "splits", "num_prompts", "num_wanted", "rate_first", "priority")
        return [self[name] for name in names]

    def sampling_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("preset", *evaluations.SETTINGS, "seed")]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            baseline = cleaned["baseline"]
            others = [model for model in cleaned["models"] if model != baseline]
            asked = ("name", "kind", "splits", "num_prompts", "num_wanted", "rate_first", "priority", "preset", "seed")
            self.wish = Wish(
                project=self.project,
                baseline=baseline,
                models=[baseline, *others],
                sampling={name: cleaned[name] for name in evaluations.SETTINGS},
                **{name: cleaned[name] for name in asked},
            )
        return cleaned

    def cost(self) -> evaluations.Cost | None:
        """What it would take; None, with the error said, where it cannot be done."""
        if self.wish is None:
            return None
        try:
            return evaluations.cost(self.wish)
        except EvaluationError as error:
            self.add_error(None, str(error))
            return None


class HintForm(forms.Form):
    percent = forms.FloatField(
        min_value=0.5, max_value=50, initial=DEFAULT_PERCENT, widget=forms.NumberInput(attrs={"step": "0.5"})
    )


class MoreForm(forms.Form):
    """`seen`: what was asked of people when the form was shown."""

    num_prompts = forms.IntegerField(min_value=0, max_value=evaluations.MAX_PROMPTS, required=False)
    num_judgements = forms.IntegerField(min_value=0, max_value=MAX_JUDGEMENTS, required=False)
    seen = forms.CharField(max_length=20)


def can_answer(project: Project) -> QuerySet[Model]:
    """Policies, and models by name whose responses are here; the current policy first."""
    has = Exists(Response.objects.filter(model=OuterRef("pk")))
    found = Model.objects.filter(project=project, is_retired=False)
    found = found.filter(Q(kind=Model.Kind.POLICY) | (Q(kind=Model.Kind.EXTERNAL) & Q(has)))
    return found.order_by("-is_current", "-created_at", "-pk")


def _splits(project: Project) -> list[tuple[str, str]]:
    prompts = Prompt.objects.filter(project=project, split__in=HELD_OUT).in_use()
    counts = dict(prompts.order_by().values_list("split").annotate(num=Count("pk")))
    return [(split.value, f"{Split(split).label}: {counts[split]:,}") for split in HELD_OUT if split in counts]


def _initial(project: Project) -> dict[str, Any]:
    """As the project samples already, so that responses that are there can be used; of a new project the preset."""
    newest = Run.objects.filter(project=project, stage=Stage.GENERATE, state=Run.State.SUCCEEDED).first()
    preset = newest.preset if newest and newest.preset in configs.PRESETS else "tiny-cpu"
    config = newest.config if newest else configs.preset(Stage.GENERATE, preset)
    policy = Model.objects.filter(project=project, is_current=True).select_related("parent").first()
    return {
        "kind": Evaluation.Kind.BASELINE,
        "splits": list(HELD_OUT),
        "num_wanted": project.overlap,
        "rate_first": project.rate_first,
        "preset": preset,
        "models": [policy] if policy else [],
        "baseline": policy.parent if policy else None,
        **{name: config[name] for name in evaluations.SETTINGS},
    }
