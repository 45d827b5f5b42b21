"""Prompts that labelers write: asking for them, taking them in, changing one's own last ones.

The three ways of InstructGPT, appendix A.1: plain, an instruction with several query and response pairs (few-shot), and
from a described use case. Each answer becomes a prompt of the project with its author; rows are only ever added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from labeling.models import Project, Prompt, PromptBrief, PromptSource, Task, UseCase, User, WrittenPrompt
from labeling.services import assignments, kinds_of_prompt, near_duplicates, personal_data, prompts, submissions
from labeling.services.answers import AnswerError
from labeling.services.submissions import AlreadySubmitted

MIN_PAIRS: Final = 2
MAX_PAIRS: Final = 20
MAX_CHARS: Final = 60_000  # of one field; the project's own limit holds for the whole prompt


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What a labeler sends. `pairs` and `query` belong to a few-shot prompt alone."""

    instruction: str
    pairs: Sequence[Mapping[str, str]] = ()
    query: str = ""
    use_case: str = ""
    language: str = ""
    note: str = ""
    guideline_version: int | None = None
    active_seconds: float | None = None
    client_time: datetime | None = None


@dataclass(frozen=True)
class Revised:
    """`earlier_stays`: responses or tasks hang on the prompt as it was, so it was not retired."""

    written: WrittenPrompt
    earlier_stays: bool


@transaction.atomic
def submit(*, task: Task, labeler: User, idempotency_key: str, writing: Writing) -> WrittenPrompt:
    """Take a written prompt in. The same key twice gives the same row; `slot` is None when it is surplus."""
    locked = assignments.lock(task)
    if earlier := submissions.with_key(_rows(), idempotency_key, task=locked, labeler=labeler):
        return earlier
    writing = _checked(locked, writing)
    if latest := submissions.latest(_rows(), task=locked, labeler=labeler):
        if _says_the_same(latest, writing):
            return latest
        raise AlreadySubmitted(latest)
    prompt = _add_prompt(locked, labeler, writing)
    slot = assignments.fill(task=locked, labeler=labeler)
    written = WrittenPrompt(
        task=locked,
        slot=slot,
        labeler=labeler,
        idempotency_key=idempotency_key,
        prompt=prompt,
        **_columns(locked, writing),
    )
    written.save(force_insert=True)
    return written


@transaction.atomic
def revise(*, written: WrittenPrompt, labeler: User, idempotency_key: str, writing: Writing) -> Revised:
    """Change one of one's own last prompts: a new revision with a new prompt, which retires the one before.

    A prompt that has responses or tasks stays in use: others have built on it.
    """
    locked = assignments.lock(written.task)
    if earlier := submissions.with_key(_rows(), idempotency_key, task=locked, labeler=labeler):
        return Revised(earlier, earlier_stays=False)
    latest = submissions.to_revise(_rows(), written, labeler=labeler)
    writing = _checked(locked, writing)
    if _says_the_same(latest, writing):
        _set_kind(latest.prompt, writing)
        return Revised(latest, earlier_stays=False)
    revision = WrittenPrompt(
        task=locked,
        slot_id=latest.slot_id,
        labeler=labeler,
        idempotency_key=idempotency_key,
        revision=latest.revision + 1,
        replaces=latest,
        prompt=_add_prompt(locked, labeler, writing),
        **_columns(locked, writing),
    )
    revision.save(force_insert=True)
    assignments.forget_unsent(task=locked, labeler=labeler)
    return Revised(revision, earlier_stays=not _retire_unless_used(latest.prompt))


def own(*, labeler: User) -> QuerySet[WrittenPrompt]:
    """A labeler's written prompts as they stand now, newest first."""
    mine = _rows().filter(labeler=labeler, replaced_by__isnull=True)
    return mine.select_related("task__brief", "task__project", "prompt").order_by("-created_at", "-pk")


def can_edit(*, written: WrittenPrompt, labeler: User) -> bool:
    return submissions.can_edit(_rows(), written, labeler=labeler)


def hints(*, project: Project, writing: Writing, besides: Prompt | None = None) -> list[str]:
    """What the writer may want to look at before sending. None of it stops them."""
    text = to_text(writing)
    found = []
    if near_duplicates.of_text(project=project, text=text, besides=besides):
        found.append("Another prompt of this project begins almost the same way. Change it if you can.")
    if kinds := personal_data.find(text):
        found.append(f"This looks like personal data: {', '.join(kinds)}. Invented details are better.")
    return found


def to_text(writing: Writing) -> str:
    """The prompt as one message. A few-shot one is its instruction, the pairs, and the last query (docs/prompts.md)."""
    if not writing.pairs and not writing.query:
        return writing.instruction
    pairs = [f"Query: {pair['query']}\nResponse: {pair['response']}" for pair in writing.pairs]
    return "\n\n".join([writing.instruction, *pairs, f"Query: {writing.query}\nResponse:"])


def to_draft(written: WrittenPrompt) -> dict[str, Any]:
    """A stored prompt in the form that pages and drafts keep it."""
    return {
        "instruction": written.instruction,
        "pairs": [dict(pair) for pair in written.pairs],
        "query": written.query,
        "use_case": written.prompt.use_case,
        "language": written.prompt.language,
        "note": written.note,
    }


def _rows() -> QuerySet[WrittenPrompt]:
    return WrittenPrompt.objects.all()


def _brief(task: Task) -> PromptBrief:
    assert task.brief is not None  # noqa: S101  # a CHECK holds it for this kind of task
    return task.brief


def _checked(task: Task, writing: Writing) -> Writing:
    """The writing without stray white space; raises AnswerError with every error found, each by its place."""
    brief = _brief(task)
    is_few_shot = brief.style == PromptBrief.Style.FEW_SHOT
    errors: dict[str, str] = {}
    instruction = _clean(writing.instruction, "instruction", errors)
    if not instruction:
        errors.setdefault("instruction", "Write the instruction first." if is_few_shot else "Write the prompt first.")
    pairs = _pairs(writing.pairs, errors) if is_few_shot else []
    query = _clean(writing.query, "query", errors) if is_few_shot else ""
    if is_few_shot and not query:
        errors.setdefault("query", "The last query is missing: it is what the model will be asked.")
    use_case = brief.use_case or writing.use_case
    if use_case not in UseCase.values:
        errors["use_case"] = "Choose the use case."
    checked = Writing(
        instruction=instruction,
        pairs=pairs,
        query=query,
        use_case=use_case,
        language=_language(brief, writing, errors),
        note=writing.note.strip(),
        guideline_version=writing.guideline_version,
        active_seconds=writing.active_seconds,
        client_time=writing.client_time,
    )
    if errors:
        raise AnswerError(errors)
    return checked


def _clean(text: str, place: str, errors: dict[str, str]) -> str:
    """Browsers send CR LF; what is kept has LF. NUL is no text that Postgres could hold."""
    text = text.replace("\r\n", "\n").strip()
    if len(text) > MAX_CHARS:
        errors[place] = f"At most {MAX_CHARS:,} characters; this has {len(text):,}."
    if "\0" in text:
        errors[place] = "It holds a character that cannot be stored. Write it again by hand."
    return text


def _pairs(given: Sequence[Mapping[str, str]], errors: dict[str, str]) -> list[dict[str, str]]:
    """Pairs with something in them; one that is half empty is an error, an empty one is left out."""
    pairs = []
    for number, pair in enumerate(given, start=1):
        query = _clean(pair.get("query", ""), f"pair_{number}", errors)
        response = _clean(pair.get("response", ""), f"pair_{number}", errors)
        if query and response:
            pairs.append({"query": query, "response": response})
        elif query or response:
            errors[f"pair_{number}"] = f"Example {number} has no {'response' if query else 'query'} yet."
    if len(pairs) < MIN_PAIRS and not any(place.startswith("pair_") for place in errors):
        errors["pairs"] = f"Give at least {MIN_PAIRS} examples with a query and a response each."
    if len(pairs) > MAX_PAIRS:
        errors["pairs"] = f"At most {MAX_PAIRS} examples; this has {len(pairs)}."
    return pairs


def _language(brief: PromptBrief, writing: Writing, errors: dict[str, str]) -> str:
    given = brief.language or writing.language
    if not given.strip():
        return kinds_of_prompt.language_by_script(writing.instruction)
    code = kinds_of_prompt.language_code(given)
    if code is None:
        errors["language"] = "Write a code such as en, de or zh."
    return code or ""


def _add_prompt(task: Task, labeler: User, writing: Writing) -> Prompt:
    try:
        return prompts.add(
            project=task.project,
            messages=[{"role": "user", "content": to_text(writing)}],
            author=labeler,
            source=PromptSource.LABELER,
            split=prompts.split_of_author(labeler),
            use_case=writing.use_case,
            language=writing.language,
        )
    except prompts.PromptError as error:
        raise AnswerError({"instruction": str(error)}) from None


def _columns(task: Task, writing: Writing) -> dict[str, Any]:
    return {
        "instruction": writing.instruction,
        "pairs": [dict(pair) for pair in writing.pairs],
        "query": writing.query,
        "note": writing.note,
        "guideline": submissions.guideline(task, writing.guideline_version),
        "active_seconds": writing.active_seconds,
        "client_time": writing.client_time,
    }


def _says_the_same(written: WrittenPrompt, writing: Writing) -> bool:
    given = (writing.instruction, [dict(pair) for pair in writing.pairs], writing.query)
    return (written.instruction, written.pairs, written.query) == given


def _set_kind(prompt: Prompt, writing: Writing) -> None:
    """The same words under another use case or language stay the same prompt."""
    Prompt.objects.filter(pk=prompt.pk).update(use_case=writing.use_case, language=writing.language)


def _retire_unless_used(prompt: Prompt) -> bool:
    if prompt.responses.exists() or prompt.tasks.exists() or prompt.demonstrations.exists():
        return False
    Prompt.objects.filter(pk=prompt.pk).update(is_retired=True)
    return True
