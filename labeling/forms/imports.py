"""Bringing a file, and saying how it is to be read."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from labeling.models import ImportBatch, UseCase
from labeling.services import imports, kinds_of_prompt
from labeling.services.imports import columns

KINDS = [
    (ImportBatch.Kind.PROMPTS, "Prompts: what people ask"),
    (
        ImportBatch.Kind.RANKINGS,
        "Rankings: prompts with 2 to 32 responses, and people's judgements where there are any",
    ),
    (ImportBatch.Kind.DEMONSTRATIONS, "Demonstrations: prompts with an answer that a person wrote"),
]
DEFAULTS = {"personal_data": "refuse", "near_duplicates": "refuse", "comparisons": "rankings"}
TAKE_OR_REFUSE = [("refuse", "Refuse the row"), ("take", "Take it, and count it")]


class UploadForm(forms.Form):
    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect, label="What is in it", initial="prompts")
    file = forms.FileField(
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.ndjson,.json,.csv,.tsv,.parquet,.gz"}),
        help_text="JSON Lines, CSV or Parquet in UTF-8, plain or gzipped. You see how it is read before it is taken.",
    )
    dataset = forms.CharField(
        max_length=80, required=False, label="Name of the data set", help_text="For rows that name none themselves."
    )

    def clean_file(self) -> "UploadedFile[bytes]":
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > settings.MAX_IMPORT_BYTES:
            raise forms.ValidationError(
                f"The file is larger than {settings.MAX_IMPORT_BYTES // 1_000_000:,} MB. Split it."
            )
        return file

    def options(self) -> dict[str, Any]:
        """Rows that people judged or wrote are worth keeping: only plain prompts are refused for personal data."""
        is_prompts = self.cleaned_data["kind"] == ImportBatch.Kind.PROMPTS
        return {"dataset": self.cleaned_data["dataset"], "personal_data": "refuse" if is_prompts else "take"}


class ReadingForm(forms.Form):
    """The options of an import that has been looked at. One select per column that we know."""

    dataset = forms.CharField(max_length=80, required=False, help_text="For rows that name none.")
    language = forms.CharField(
        max_length=16, required=False, help_text="A code such as en, for rows that name none. Empty: guessed by script."
    )
    use_case = forms.ChoiceField(
        choices=[("", "Other"), *UseCase.choices], required=False, help_text="For rows whose category is not known."
    )
    personal_data = forms.ChoiceField(choices=TAKE_OR_REFUSE, help_text="E-mail, phone, card, IBAN in the prompt.")
    near_duplicates = forms.ChoiceField(choices=TAKE_OR_REFUSE, help_text="Prompts that begin alike for 80 %.")

    comparisons = forms.ChoiceField(
        choices=[("rankings", "Only as rankings of all"), ("pairs", "Also as rankings of two")],
        help_text="Pair judgements that leave no order of all responses.",
    )

    def __init__(self, *args: Any, batch: ImportBatch, found: imports.Preview, **kwargs: Any) -> None:
        kwargs.setdefault("initial", DEFAULTS | batch.options)
        super().__init__(*args, **kwargs)
        self.ours = list(columns.ALIASES[batch.kind])
        choices = [("", "–"), *[(name, name) for name in found.names]]
        for ours in self.ours:
            self.fields[f"column_{ours}"] = forms.ChoiceField(
                choices=choices, required=False, label=ours.replace("_", " "), initial=found.columns.get(ours, "")
            )
        if batch.kind != ImportBatch.Kind.PROMPTS:
            del self.fields["near_duplicates"]
        if batch.kind != ImportBatch.Kind.RANKINGS:
            del self.fields["comparisons"]

    def column_fields(self) -> list[forms.BoundField]:
        return [self[f"column_{ours}"] for ours in self.ours]

    def other_fields(self) -> list[forms.BoundField]:
        return [field for field in self if not field.name.startswith("column_")]

    def clean_language(self) -> str:
        given: str = self.cleaned_data["language"]
        code = kinds_of_prompt.language_code(given) if given else ""
        if code is None:
            raise forms.ValidationError("Write a code such as en, de or zh.")
        return code

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not cleaned.get("column_prompt"):
            self.add_error("column_prompt", "Say which column holds the prompt.")
        return cleaned

    def options(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        return {
            "columns": {ours: cleaned[f"column_{ours}"] for ours in self.ours},
            **{name: cleaned[name] for name in self.fields if not name.startswith("column_")},
        }
