"""Making tasks of prompts, finding and changing tasks, finding and voiding rankings."""

from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, QuerySet

from labeling.models import (
    MAX_RESPONSES_FOR_PEOPLE,
    MIN_RESPONSES,
    Guideline,
    Model,
    Project,
    Ranking,
    Response,
    Snapshot,
    Task,
    User,
)
from labeling.services import selection
from labeling.services.scores import choice, reading

ANY = ("", "Any")
EVERY_PURPOSE = "all"
MAX_OVERLAP = 50
MAX_JUDGES = 5


def _overlap(**kwargs: Any) -> forms.IntegerField:
    return forms.IntegerField(
        min_value=1,
        max_value=MAX_OVERLAP,
        label="Judgements per task",
        help_text="By so many different people.",
        **kwargs,
    )


def _priority() -> forms.IntegerField:
    return forms.IntegerField(min_value=-100, max_value=100, initial=0, help_text="Higher is handed out first.")


def _purpose() -> forms.ChoiceField:
    """Tests of the labeler are listed apart from the work."""
    tests = [choice for choice in Task.Purpose.choices if choice[0] != Task.Purpose.WORK]
    return forms.ChoiceField(
        required=False, choices=[("", "Work"), *tests, (EVERY_PURPOSE, "Everything")], label="Purpose"
    )


def _with_responses(project: Project) -> QuerySet[Model]:
    has = Exists(Response.objects.filter(model=OuterRef("pk")))
    return Model.objects.filter(has, project=project).order_by("-created_at", "-pk")


class MakeRankingTasksForm(forms.Form):
    num_responses = forms.IntegerField(
        min_value=MIN_RESPONSES,
        max_value=MAX_RESPONSES_FOR_PEOPLE,
        initial=4,
        label="Responses per task",
        help_text="People rank 2 to 9. Prompts with fewer get no task.",
    )
    num_wanted = _overlap()
    model = forms.ModelChoiceField(
        queryset=Model.objects.none(), required=False, empty_label="All, the newest first", label="Responses of"
    )
    priority = _priority()
    way = forms.ChoiceField(
        required=False,
        choices=[
            (selection.IN_ORDER, "All of them, in order"),
            (selection.RANDOM, "A random sample"),
            (selection.DISAGREEMENT, "Where labelers differed most so far"),
            (choice.MARGIN, "Where a reward model is least sure of the order"),
            (choice.ENSEMBLE, "Where several reward models disagree most"),
        ],
        label="Which of the prompts",
    )
    judges = forms.ModelMultipleChoiceField(
        queryset=Model.objects.none(),
        required=False,
        to_field_name="uid",
        widget=forms.CheckboxSelectMultiple,
        label="Reward models",
        help_text="For the last two ways. None ticked: the newest one; for disagreement, all.",
    )
    num_prompts = forms.IntegerField(
        required=False, min_value=1, label="How many prompts", help_text="For a sample or a choice. Empty: all."
    )
    random_percent = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=100,
        initial=20,
        label="Random share, %",
        help_text="Of a choice. Drawn from all prompts, mixed in, and reported apart as the control.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["num_wanted"].initial = project.overlap
        self.fields["model"].queryset = _with_responses(project)  # type: ignore[attr-defined]
        self.scored_by = reading.judges(project)
        self.fields["judges"].queryset = self.scored_by  # type: ignore[attr-defined]
        if not self.scored_by:
            del self.fields["judges"]

    def clean(self) -> dict[str, Any]:
        """The reward models that decide, if any do: a choice by one needs one, by their disagreement two."""
        cleaned = super().clean() or self.cleaned_data
        way, ticked = cleaned.get("way"), list(cleaned.pop("judges", ()))
        if way in choice.WAYS:
            wanted = ticked or list(self.scored_by[: MAX_JUDGES if way == choice.ENSEMBLE else 1])
            if not wanted:
                self.add_error(
                    "way", "No reward model has scored responses yet. Train one, or start a run that scores."
                )
            elif way == choice.ENSEMBLE and len(wanted) < 2:
                self.add_error(
                    "way", "Models disagree from two on, and one has scored responses. Let another one score."
                )
            cleaned["judges"] = wanted
        return cleaned


class AskForDemonstrationsForm(forms.Form):
    num_wanted = _overlap(initial=1)
    priority = _priority()


class AskForAnnotationsForm(forms.Form):
    """Which of the project's labels hold of each prompt."""

    num_wanted = _overlap(initial=1)
    priority = _priority()


class CompareForm(forms.Form):
    """Two models against each other, or any two responses of a prompt."""

    model = forms.ModelChoiceField(
        queryset=Model.objects.none(),
        required=False,
        empty_label="Any",
        label="One model",
        help_text="Which side it stands on is drawn by lot; labelers never learn which is which.",
    )
    other = forms.ModelChoiceField(
        queryset=Model.objects.none(), required=False, empty_label="Any", label="The other model"
    )
    num_wanted = _overlap()
    priority = _priority()

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["num_wanted"].initial = project.overlap
        for name in ("model", "other"):
            self.fields[name].queryset = _with_responses(project)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if bool(cleaned.get("model")) != bool(cleaned.get("other")):
            self.add_error("other", "Choose both models, or leave both open.")
        return cleaned


class TaskFilterForm(forms.Form):
    q = forms.CharField(
        required=False, max_length=200, label="Prompt", widget=forms.TextInput(attrs={"type": "search"})
    )
    kind = forms.ChoiceField(required=False, choices=[ANY, *Task.Kind.choices])
    state = forms.ChoiceField(required=False, choices=[ANY, *Task.State.choices])
    origin = forms.ChoiceField(
        required=False, choices=[ANY, ("here", "Made here"), ("imported", "Imported")], label="Origin"
    )
    purpose = _purpose()

    def apply(self, project: Project) -> QuerySet[Task]:
        tasks = Task.objects.filter(project=project)
        if not self.is_valid():
            return tasks.none()
        asked = self.cleaned_data
        if asked["purpose"] != EVERY_PURPOSE:
            tasks = tasks.filter(purpose=asked["purpose"] or Task.Purpose.WORK)
        for name in ("kind", "state"):
            if asked[name]:
                tasks = tasks.filter(**{name: asked[name]})
        if asked["origin"]:
            tasks = tasks.filter(is_imported=asked["origin"] == "imported")
        return tasks.filter(prompt__text__icontains=asked["q"]) if asked["q"] else tasks


class TaskChangeForm(forms.Form):
    num_wanted = _overlap()
    priority = _priority()


class VersionField(forms.ModelChoiceField[Guideline]):
    """A guideline version, chosen by its number."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, to_field_name="version", label="Guidelines", **kwargs)

    def label_from_instance(self, obj: Guideline) -> str:
        return f"Version {obj.version}"


class RankingFilterForm(forms.Form):
    labeler = forms.ModelChoiceField(
        queryset=User.objects.none(), required=False, empty_label="Any", to_field_name="uid"
    )
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    state = forms.ChoiceField(
        required=False,
        choices=[("", "Current"), ("counted", "Counted"), ("surplus", "Surplus"), ("void", "Void"), ("all", "All")],
    )
    origin = forms.ChoiceField(required=False, choices=[ANY, ("here", "Given here"), ("imported", "Imported")])
    purpose = _purpose()
    snapshot = forms.ModelChoiceField(
        queryset=Snapshot.objects.none(), required=False, empty_label="Any", to_field_name="uid", label="Frozen in"
    )
    guideline = VersionField(queryset=Guideline.objects.none(), required=False, empty_label="Any")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        frozen = Snapshot.objects.filter(project=project, kind=Snapshot.Kind.REWARD, state=Snapshot.State.READY)
        self.fields["snapshot"].queryset = frozen  # type: ignore[attr-defined]
        self.fields["guideline"].queryset = project.guidelines.only("version").order_by("-version")  # type: ignore[attr-defined]
        judged = Exists(Ranking.objects.filter(labeler=OuterRef("pk"), task__project=project))
        self.fields["labeler"].queryset = User.objects.filter(judged).order_by("name", "pk")  # type: ignore[attr-defined]

    def apply(self) -> QuerySet[Ranking]:
        if not self.is_valid():
            return Ranking.objects.none()
        asked = self.cleaned_data
        rankings = self._in_state(asked["state"]).filter(task__project=self.project)
        if asked["purpose"] != EVERY_PURPOSE:
            rankings = rankings.filter(task__purpose=asked["purpose"] or Task.Purpose.WORK)
        if asked["labeler"]:
            rankings = rankings.filter(labeler=asked["labeler"])
        if asked["since"]:
            rankings = rankings.filter(created_at__date__gte=asked["since"])
        if asked["until"]:
            rankings = rankings.filter(created_at__date__lte=asked["until"])
        if asked["origin"]:
            rankings = rankings.filter(batch__isnull=asked["origin"] == "here")
        if asked["snapshot"]:
            rankings = rankings.filter(snapshot_rankings__snapshot=asked["snapshot"])
        if asked["guideline"]:
            rankings = rankings.filter(guideline=asked["guideline"])
        return rankings

    def _in_state(self, state: str) -> QuerySet[Ranking]:
        return {
            "": Ranking.objects.current(),
            "counted": Ranking.objects.counted(),
            "surplus": Ranking.objects.current().filter(slot__isnull=True),
            "void": Ranking.objects.filter(void__isnull=False),
            "all": Ranking.objects.all(),
        }[state]


class VoidForm(forms.Form):
    reason = forms.CharField(max_length=300, help_text="Kept with the ranking. It stays, and is no longer counted.")
