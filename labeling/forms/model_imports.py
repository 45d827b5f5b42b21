"""Bringing a model: an archive, a folder of this machine, or a name on the hub."""

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat

from labeling.services import model_folders, runs
from training.contract.configs.fetch import REVISION


class BringForm(forms.Form):
    """What the three ways share. The key makes a form that is sent twice one import."""

    source = ""
    name = forms.CharField(max_length=120, required=False, help_text="As it will be called here.")
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"initial": {"key": uuid.uuid4().hex}, "prefix": self.source} | kwargs)

    @property
    def values(self) -> dict[str, Any]:
        return {"name": self.cleaned_data["name"], "key": self.cleaned_data["key"]}


class ArchiveForm(BringForm):
    source = "archive"
    file = forms.FileField(
        label="Archive",
        widget=forms.ClearableFileInput(attrs={"accept": ".zip,.tar,.tgz,.tar.gz,.gz"}),
        help_text="A zip or tar of one folder: config.json, safetensors, tokenizer.",
    )
    field_order = ["file", "name", "key"]

    def clean_file(self) -> "UploadedFile[bytes]":
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > settings.MAX_MODEL_BYTES:
            raise forms.ValidationError(f"At most {filesizeformat(settings.MAX_MODEL_BYTES)} are taken.")
        return file


class HubForm(BringForm):
    source = "hub"
    repo = forms.RegexField(
        runs.HUB_NAME, max_length=200, label="Model", help_text="As owner/name. A worker fetches it over the network."
    )
    revision = forms.RegexField(
        rf"^{REVISION.pattern}$", max_length=100, initial="main", help_text="A branch, a tag or a commit."
    )
    field_order = ["repo", "revision", "name", "key"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("revision", "main")


class FolderForm(BringForm):
    source = "folder"
    folder = forms.ChoiceField(help_text="A folder with config.json below the import folder.")
    field_order = ["folder", "name", "key"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["folder"].choices = [(name, name) for name in model_folders.names()]  # type: ignore[attr-defined]


FORMS: list[type[BringForm]] = [ArchiveForm, HubForm, FolderForm]
