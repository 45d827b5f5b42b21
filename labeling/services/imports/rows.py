"""A file's rows, checked one at a time: values in, drafts out, `Refused` where a row cannot be taken."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labeling.models import Split, UseCase
from labeling.services import kinds_of_prompt, personal_data, prompts
from labeling.services.imports import reasons, texts
from labeling.services.imports.columns import Row
from labeling.services.imports.reasons import Refused

SPLITS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "valid": Split.VALID,
    "validation": Split.VALID,
    "val": Split.VALID,
    "dev": Split.VALID,
    "test": Split.TEST,
    "eval": Split.TEST,
}


@dataclass(frozen=True)
class Options:
    """How to read a file: what the form, or the command line, asked for."""

    columns: dict[str, str] = field(default_factory=dict)
    dataset: str = ""  # for rows that name none
    language: str = ""
    use_case: str = ""
    split: str = ""  # of a file that is one split of a data set
    personal_data: str = "refuse"  # or "take"
    near_duplicates: str = "refuse"  # or "take"
    comparisons: str = "rankings"  # only where they leave one order of all responses; or "pairs": the others too

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Options":
        return cls(**{name: value for name, value in values.items() if name in cls.__dataclass_fields__})


@dataclass
class PromptDraft:
    line: int
    messages: texts.Messages
    text: str
    content_hash: str
    split: str
    is_only_for_evaluation: bool
    use_case: str
    category: str
    language: str
    dataset: str
    external_id: str
    customer: str
    personal_data: list[str]
    notes: list[str]


def prompt(row: Row, *, line: int, options: Options, max_chars: int) -> PromptDraft:
    """The prompt of any kind of row."""
    notes: list[str] = []
    messages = texts.conversation(row.get("prompt"))
    text = prompts.text_of(messages)
    if len(text) > max_chars:
        raise Refused(reasons.PROMPT_TOO_LONG, f"{len(text):,} characters, this project takes {max_chars:,}")
    found = _personal_data(text, options=options, notes=notes)
    customer = texts.short(row.get("customer"), 120)
    category = texts.short(row.get("category"), 80)
    is_only_for_evaluation = _is_only_for_evaluation(row.get("meta"))
    split = (
        Split.TEST
        if is_only_for_evaluation
        else _split(row.get("split") or options.split, customer=customer, messages=messages)
    )
    return PromptDraft(
        line=line,
        messages=messages,
        text=text,
        content_hash=prompts.content_hash(messages),
        split=split,
        is_only_for_evaluation=is_only_for_evaluation,
        use_case=_use_case(row, category=category, options=options, notes=notes),
        category=category,
        language=_language(row.get("language"), text=text, options=options, notes=notes),
        dataset=texts.short(row.get("dataset"), 80) or options.dataset,
        external_id=texts.short(row.get("id"), 200),
        customer=customer,
        personal_data=found,
        notes=notes,
    )


def _personal_data(text: str, *, options: Options, notes: list[str]) -> list[str]:
    kinds = personal_data.find(text)
    if kinds and options.personal_data == "refuse":
        raise Refused(reasons.PERSONAL_DATA, ", ".join(kinds))
    if kinds:
        notes.append(reasons.NOTE_PERSONAL_DATA)
    return kinds


def _split(given: Any, *, customer: str, messages: texts.Messages) -> str:
    if not given:
        return prompts.split_of(customer=customer, messages=messages)
    known = SPLITS.get(given.strip().lower()) if isinstance(given, str) else None
    if known is None:
        raise Refused(reasons.UNKNOWN_SPLIT, str(given)[:40])
    return known


def _is_only_for_evaluation(meta: Any) -> bool:
    """`meta.eval_only`: the authors ask not to train on it."""
    if isinstance(meta, str):
        try:
            meta = json.loads(meta)
        except (ValueError, RecursionError):
            return False
    return isinstance(meta, Mapping) and meta.get("eval_only") is True


def _use_case(row: Row, *, category: str, options: Options, notes: list[str]) -> str:
    given = texts.short(row.get("use_case"), 80)
    found = kinds_of_prompt.use_case_of(given) if given else None
    if found is None and category:
        found = kinds_of_prompt.use_case_of(category)
    if found is None and (given or category):
        notes.append(reasons.NOTE_CATEGORY)
    return found or options.use_case or UseCase.OTHER


def _language(given: Any, *, text: str, options: Options, notes: list[str]) -> str:
    if isinstance(given, str) and given.strip():
        if code := kinds_of_prompt.language_code(given):
            return code
        notes.append(reasons.NOTE_LANGUAGE)
    return options.language or kinds_of_prompt.language_by_script(text)
