"""Which rankings a report is about, and by which rule."""

from typing import Any

from django import forms

from labeling.models import Project, Prompt, UseCase
from labeling.services import leaderboard
from labeling.services.agreement import TIE_RULES, Scope

ALL = ("", "All")
TIES = {"drop": "Ties left out", "half": "A tie is half", "strict": "A tie is a third answer"}
METHODS = {"plackett_luce": "Plackett–Luce", "bradley_terry": "Bradley–Terry"}
WEEKS = [("", "All time"), ("4", "Last 4 weeks"), ("12", "Last 12 weeks"), ("52", "Last 52 weeks")]


class ScopeForm(forms.Form):
    """Nothing chosen is everything; what cannot be understood is too, and the field says so."""

    use_case = forms.ChoiceField(required=False, choices=[ALL, *UseCase.choices], label="Use case")
    language = forms.ChoiceField(required=False)
    dataset = forms.ChoiceField(required=False, label="Data set")
    weeks = forms.TypedChoiceField(
        required=False,
        choices=WEEKS,
        coerce=int,
        empty_value=None,
        label="Ranked in",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("language", "dataset"):
            there = _values(project, name)
            self.fields[name].choices = [ALL, *((value, value) for value in there)]  # type: ignore[attr-defined]
            if len(there) < 1:
                del self.fields[name]

    def scope(self) -> Scope:
        found = self.cleaned_data if self.is_valid() else {}
        return Scope(**{name: found[name] for name in ("use_case", "language", "dataset", "weeks") if found.get(name)})


class AgreementForm(ScopeForm):
    ties = forms.ChoiceField(required=False, choices=[(rule, TIES[rule]) for rule in TIE_RULES], label="Ties")
    field_order = ("ties",)


class LeaderboardForm(ScopeForm):
    method = forms.ChoiceField(
        required=False, choices=[(method, METHODS[method]) for method in leaderboard.METHODS], label="Model of choice"
    )
    field_order = ("method",)


def _values(project: Project, name: str) -> list[str]:
    prompts = Prompt.objects.filter(project=project, tasks__isnull=False).exclude(**{name: ""})
    return list(prompts.order_by(name).values_list(name, flat=True).distinct()[:200])
