"""Forms of qualification sets, grades and reviews."""

from typing import Any

from django import forms

from labeling.models import Project, QualificationSet

MARKS = [(str(mark), str(mark)) for mark in range(1, 8)]


class QualificationSetForm(forms.Form):
    """Cutoffs are asked in percent and kept as shares."""

    name = forms.CharField(max_length=120, help_text="Labelers never see it.")
    kind = forms.ChoiceField(choices=QualificationSet.Kind.choices, help_text="What somebody who passes may do.")
    cutoff_rankings = forms.IntegerField(
        min_value=0, max_value=100, initial=75, label="Rankings, %", help_text="Comparisons that agree with yours."
    )
    cutoff_flags = forms.IntegerField(
        min_value=0,
        max_value=100,
        initial=75,
        label="Flags, %",
        help_text="Counts if you flag something.",
    )
    cutoff_grade = forms.FloatField(
        min_value=1, max_value=7, initial=6, label="Written answers, mean grade", help_text="Of 7, given by reviewers."
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if QualificationSet.objects.filter(project=self.project, name=name).exists():
            raise forms.ValidationError("Another set has this name; choose a different one.")
        return name

    def save(self) -> QualificationSet:
        given = self.cleaned_data
        made = QualificationSet(
            project=self.project,
            name=given["name"],
            kind=given["kind"],
            cutoff_rankings=given["cutoff_rankings"] / 100,
            cutoff_flags=given["cutoff_flags"] / 100,
            cutoff_grade=given["cutoff_grade"],
        )
        made.full_clean()
        made.save()
        return made


class UseForm(forms.Form):
    """Where a known answer goes: hidden among work, or into a draft set."""

    HIDDEN = "hidden"
    where = forms.ChoiceField(label="Use it")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        drafts = QualificationSet.objects.filter(project=project, kind="rank", state=QualificationSet.State.DRAFT)
        self.sets = {str(found.uid): found for found in drafts}
        options = [(uid, f"in the set “{found.name}”") for uid, found in self.sets.items()]
        self.fields["where"].choices = [(self.HIDDEN, "hidden among the work"), *options]  # type: ignore[attr-defined]

    def qualification_set(self) -> QualificationSet | None:
        return self.sets.get(self.cleaned_data["where"])


class GradeForm(forms.Form):
    grade = forms.TypedChoiceField(choices=MARKS, coerce=int, widget=forms.RadioSelect)
    note = forms.CharField(
        required=False, max_length=5_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="Kept with the grade."
    )
