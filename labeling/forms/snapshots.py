"""Asking for a snapshot."""

from typing import Any

from django import forms
from django.core.files.storage import storages
from django.utils.crypto import get_random_string

from labeling.models import Project, Prompt, Snapshot, Task, UseCase

MAX_TEXT_BYTES = 100_000_000
OWN = "own"
JUDGED = (Snapshot.Kind.REWARD, Snapshot.Kind.SFT)  # what people gave on a day


class SnapshotForm(forms.Form):
    kind = forms.ChoiceField(choices=Snapshot.Kind.choices, label="What")
    name = forms.CharField(max_length=110, help_text="For you and your team; a number is added when the name is taken.")
    use_cases = forms.MultipleChoiceField(
        choices=UseCase.choices, required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked: all."
    )
    languages = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked: all."
    )
    datasets = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Where imported prompts came from. None ticked: all.",
    )
    streams = forms.MultipleChoiceField(
        choices=Task.Stream.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="How the task was chosen",
        help_text="For rankings. None ticked: all.",
    )
    since = forms.DateField(
        required=False, widget=forms.DateInput(attrs={"type": "date"}), help_text="Judged on this day or later."
    )
    until = forms.DateField(
        required=False, widget=forms.DateInput(attrs={"type": "date"}), help_text="Judged on this day or before."
    )
    reviewed = forms.ChoiceField(
        required=False,
        choices=[("", "The decision, instead of the labelers' rankings"), (OWN, "The labelers' own rankings")],
        label="Of reviewed tasks",
        help_text="For rankings. Originals stay in the project either way.",
    )
    text_file = forms.FileField(
        required=False,
        help_text="For pretraining text: a UTF-8 text file, pieces parted by empty lines. Without one, the text that "
        "Podium ships is used.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self._choices("languages", "language")
        self._choices("datasets", "dataset")

    def _choices(self, name: str, column: str) -> None:
        field = self.fields[name]
        if not isinstance(field, forms.MultipleChoiceField):
            raise TypeError(name)
        values = Prompt.objects.filter(project=self.project).exclude(**{column: ""}).order_by(column)
        field.choices = [(value, value) for value in values.values_list(column, flat=True).distinct()]
        if not field.choices:
            del self.fields[name]

    def clean_text_file(self) -> Any:
        file = self.cleaned_data["text_file"]
        if file is None:
            return None
        if file.size > MAX_TEXT_BYTES:
            raise forms.ValidationError("The file is larger than 100 MB. Split it and make two snapshots.")
        try:
            file.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise forms.ValidationError(
                f"The file is not UTF-8: byte {error.start:,} cannot be read. Save it as UTF-8 and upload it again."
            ) from None
        file.seek(0)
        return file

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", "This day is before “since”.")
        return cleaned

    def filters(self) -> dict[str, Any]:
        """The filters as the snapshot keeps them. Stores an uploaded text."""
        cleaned = self.cleaned_data
        filters = {name: cleaned.get(name) for name in ("use_cases", "languages", "datasets") if cleaned.get(name)}
        if cleaned["kind"] in JUDGED:
            filters |= {name: cleaned[name].isoformat() for name in ("since", "until") if cleaned.get(name)}
        if cleaned["kind"] == Snapshot.Kind.REWARD:
            filters |= {"streams": cleaned["streams"]} if cleaned["streams"] else {}
            filters |= {"adjudicated": False} if cleaned["reviewed"] == OWN else {}
        if cleaned["kind"] == Snapshot.Kind.TEXT:
            file = cleaned.get("text_file")
            return {"text_key": storages["default"].save(f"texts/{get_random_string(20)}.txt", file)} if file else {}
        return filters
