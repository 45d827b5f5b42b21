"""Rows with an answer that a person wrote."""

from dataclasses import dataclass

from labeling.services.imports import reasons, rows, texts
from labeling.services.imports.columns import Row
from labeling.services.imports.reasons import Refused


@dataclass
class DemonstrationDraft:
    prompt: rows.PromptDraft
    text: str
    writer: str  # "" when the file names nobody
    notes: list[str]

    @property
    def line(self) -> int:
        return self.prompt.line


def demonstration(row: Row, *, line: int, options: rows.Options, max_chars: int) -> DemonstrationDraft:
    prompt = rows.prompt(row, line=line, options=options, max_chars=max_chars)
    return DemonstrationDraft(
        prompt=prompt,
        text=_text(row),
        writer=texts.short(row.get("annotator"), 100),
        notes=list(prompt.notes),
    )


def _text(row: Row) -> str:
    text = row.get("demonstration")
    if text is None or text == "":
        raise Refused(reasons.NO_DEMONSTRATION)
    if not isinstance(text, str):
        raise Refused(reasons.DEMONSTRATION_NOT_TEXT, f"a {type(text).__name__}")
    if not text.strip():
        raise Refused(reasons.NO_DEMONSTRATION, "only white space")
    if len(text) > texts.MAX_RESPONSE_CHARS:
        raise Refused(reasons.RESPONSE_TOO_LONG, f"{len(text):,} characters")
    return texts.checked(text, where="the demonstration")
