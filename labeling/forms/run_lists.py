"""What the lists of runs and of models can be narrowed down to."""

from typing import Any

from django import forms
from django.db.models import F, Func, Q, QuerySet, TextField

from labeling.models import Model, Project, Run, Stage

ANY = ("", "All")


def _search(label: str) -> forms.CharField:
    widget = forms.TextInput(attrs={"type": "search", "placeholder": label})
    return forms.CharField(required=False, max_length=200, label="Search", widget=widget)


class RunFilterForm(forms.Form):
    q = _search("Name, note or person")
    stage = forms.ChoiceField(required=False, choices=[ANY, *Stage.choices])
    state = forms.ChoiceField(required=False, choices=[ANY, ("live", "Under way"), *Run.State.choices])
    tag = forms.ChoiceField(required=False)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.fields["tag"].choices = [ANY, *((tag, tag) for tag in tags_of(project))]  # type: ignore[attr-defined]

    @property
    def num_left_out(self) -> int:
        """Runs of conversations, which the list shows only when it is asked for them."""
        asks = self.cleaned_data.get("stage")
        return 0 if asks else Run.objects.filter(project=self.project, stage=Stage.TALK).count()

    def apply(self) -> QuerySet[Run]:
        """A value that nobody was offered is as if it were not there. Conversations stay away unless asked for."""
        self.is_valid()
        asked, found = self.cleaned_data, Run.objects.filter(project=self.project)
        stage = asked.get("stage")
        found = found.filter(stage=stage) if stage else found.exclude(stage=Stage.TALK)
        if state := asked.get("state"):
            found = found.live() if state == "live" else found.filter(state=state)
        if tag := asked.get("tag"):
            found = found.filter(tags__contains=[tag])
        if text := asked.get("q"):
            found = found.filter(
                Q(name__icontains=text) | Q(note__icontains=text) | Q(created_by__name__icontains=text)
            )
        return found


class ModelFilterForm(forms.Form):
    q = _search("Name or note")
    kind = forms.ChoiceField(required=False, choices=[ANY, *Model.Kind.choices])
    state = forms.ChoiceField(
        required=False,
        choices=[ANY, ("current", "Current policy"), ("offered", "Offered for runs"), ("retired", "Retired")],
    )
    origin = forms.ChoiceField(
        required=False,
        label="Made by",
        choices=[ANY, ("trained", "A run here"), ("imported", "An import"), ("named", "Named alone")],
    )

    STATES = {
        "current": Q(is_current=True),
        "offered": Q(is_retired=False) & ~Q(kind=Model.Kind.EXTERNAL),
        "retired": Q(is_retired=True),
    }
    ORIGINS = {
        "trained": Q(run__isnull=False) & ~Q(run__stage=Stage.FETCH),
        "imported": Q(run__stage=Stage.FETCH),
        "named": Q(kind=Model.Kind.EXTERNAL),
    }

    def apply(self, project: Project) -> QuerySet[Model]:
        self.is_valid()
        asked, found = self.cleaned_data, Model.objects.filter(project=project)
        if kind := asked.get("kind"):
            found = found.filter(kind=kind)
        if state := asked.get("state"):
            found = found.filter(self.STATES[state])
        if origin := asked.get("origin"):
            found = found.filter(self.ORIGINS[origin])
        if text := asked.get("q"):
            found = found.filter(Q(name__icontains=text) | Q(note__icontains=text))
        return found


def tags_of(project: Project) -> list[str]:
    """Every tag that a run of the project has."""
    each = Func(F("tags"), function="jsonb_array_elements_text", output_field=TextField())
    return sorted(Run.objects.filter(project=project).order_by().values_list(each, flat=True).distinct())
