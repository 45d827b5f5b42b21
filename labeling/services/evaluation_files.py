"""Files for evaluate runs: TruthfulQA, harmful prompts, paraphrases. Read when they come in, kept by their hash."""

import hashlib
import uuid
from pathlib import Path
from typing import Final

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile

from labeling.models import EvaluationFile, Project, User
from labeling.services import artifacts
from training.contract.questions import READERS, QuestionsError
from training.contract.rundir import RunDirError, file_sha256

MAX_BYTES: Final = 10_000_000


class FileError(ValueError):
    """A file that cannot be used; the text says why, for the person who brought it."""


def receive(*, project: Project, kind: str, upload: "UploadedFile[bytes]", user: User | None) -> EvaluationFile:
    """Keep a file. One whose content the project has already is the one it has. Raises FileError, naming the line."""
    if (upload.size or 0) > MAX_BYTES:
        raise FileError(f"The file is larger than {MAX_BYTES // 1_000_000} MB.")
    content = upload.read()
    try:
        num_rows = len(READERS[kind](content))
    except QuestionsError as error:
        raise FileError(_sentence(str(error))) from None
    identity = {"project": project, "kind": kind, "sha256": hashlib.sha256(content).hexdigest()}
    if earlier := EvaluationFile.objects.filter(**identity).first():
        return earlier
    key = f"evaluation-files/{uuid.uuid4()}"
    artifacts.storage().save(f"{key}/{kind}", ContentFile(content))
    facts = {"filename": (upload.name or "file")[-255:], "num_rows": num_rows, "storage_key": key, "created_by": user}
    return EvaluationFile.objects.get_or_create(**identity, defaults=facts)[0]


def local_path(file: EvaluationFile) -> Path:
    """The file on this machine. Raises RunDirError when it is not what was brought, OSError when it is not there."""
    path = artifacts.local_folder(file.storage_key) / file.kind
    if (found := file_sha256(path)) != file.sha256:
        raise RunDirError(f"{file.kind}: {file.filename} should hold {file.sha256}, and it holds {found}")
    return path


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
