"""The kinds of task as labelers meet them: how each is called, which page shows it, who takes its answer in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from labeling.forms import comparing
from labeling.forms import work as forms
from labeling.forms import writing as writing_forms
from labeling.models import Demonstration, PromptAnnotation, Ranking, Task, UseCase, WrittenPrompt
from labeling.permissions import ProjectRequest
from labeling.services import annotations, answers, demonstrations, rankings, writing
from labeling.services.sheets import Sheet

Judgement = Ranking | Demonstration | WrittenPrompt | PromptAnnotation
Payload = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """`family` is what the start page's button asks for; `read` is what a form holds, as drafts keep it."""

    kind: str
    family: str
    template: str
    title: str
    about: str
    verb: str
    read: Callable[[QueryDict, Task], Payload]
    take_in: Callable[[ProjectRequest, Task, Payload], Judgement]
    context: Callable[[Sheet, Payload, Mapping[str, str]], dict[str, Any]]


class LookAgain(Exception):  # noqa: N818  # no error: something to see before it is sent
    """There are hints that the writer has not seen yet. Sent again, it is taken."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        super().__init__(" ".join(texts))


def of(task: Task) -> Kind:
    return next(kind for kind in KINDS if kind.kind == task.kind)


def kinds_of(family: str) -> tuple[str, ...]:
    """The kinds of task behind a family's button; rankings where it is none."""
    return tuple(kind.kind for kind in KINDS if kind.family == family) or (Task.Kind.RANK,)


def _key(request: ProjectRequest) -> str:
    return request.POST.get("idempotency_key", "")


def _rank(request: ProjectRequest, task: Task, payload: Payload) -> Ranking:
    answer = forms.to_answer(task, payload, forms.read_circumstances(request.POST))
    return rankings.submit(task=task, labeler=request.user, idempotency_key=_key(request), answer=answer)


def _compare(request: ProjectRequest, task: Task, payload: Payload) -> Ranking:
    comparing.check(payload)
    return _rank(request, task, payload)


def _demonstrate(request: ProjectRequest, task: Task, payload: Payload) -> Demonstration:
    circumstances = forms.read_circumstances(request.POST)
    return demonstrations.submit(
        task=task, labeler=request.user, idempotency_key=_key(request), **payload, **circumstances
    )


def _write_prompt(request: ProjectRequest, task: Task, payload: Payload) -> WrittenPrompt:
    given = writing_forms.to_writing(payload, forms.read_circumstances(request.POST))
    hints = writing.hints(project=task.project, writing=given)
    if hints and request.POST.get("seen_hints") != " ".join(hints):
        raise LookAgain(hints)
    return writing.submit(task=task, labeler=request.user, idempotency_key=_key(request), writing=given)


def _annotate(request: ProjectRequest, task: Task, payload: Payload) -> PromptAnnotation:
    given = writing_forms.to_annotation(payload, forms.read_circumstances(request.POST))
    return annotations.submit(task=task, labeler=request.user, idempotency_key=_key(request), annotation=given)


def _cards(sheet: Sheet, filled: Payload, errors: Mapping[str, str]) -> dict[str, Any]:
    return {"cards": forms.fill_cards(sheet, filled, errors), "ratings": answers.RATINGS}


def _comparison(sheet: Sheet, filled: Payload, errors: Mapping[str, str]) -> dict[str, Any]:
    return {**_cards(sheet, filled, errors), "verdict": comparing.verdict_of(filled), "verdicts": comparing.VERDICTS}


def _written(sheet: Sheet, filled: Payload, errors: Mapping[str, str]) -> dict[str, Any]:
    pair_errors = {int(place[5:]): text for place, text in errors.items() if place.startswith("pair_")}
    return {
        "written": writing_forms.fill_writing(filled),
        "pair_errors": pair_errors,
        "use_cases": UseCase.choices,
        "max_pairs": writing.MAX_PAIRS,
    }


def _labels(sheet: Sheet, filled: Payload, errors: Mapping[str, str]) -> dict[str, Any]:
    return {"annotated": writing_forms.fill_annotation(sheet.labels, filled)}


KINDS = (
    Kind(
        kind=Task.Kind.RANK,
        family="rank",
        template="work/rank.html",
        title="Rank responses",
        about="Read one prompt and several answers to it, and put the answers in order. Ties are welcome.",
        verb="Start ranking",
        read=lambda post, task: forms.read_ranking(post, task.num_responses),
        take_in=_rank,
        context=_cards,
    ),
    Kind(
        kind=Task.Kind.COMPARE,
        family="compare",
        template="work/compare.html",
        title="Compare two responses",
        about="Read one prompt and two answers side by side, and say which is better.",
        verb="Start comparing",
        read=lambda post, task: comparing.read(post),
        take_in=_compare,
        context=_comparison,
    ),
    Kind(
        kind=Task.Kind.DEMONSTRATE,
        family="write",
        template="work/write.html",
        title="Write an answer",
        about="Read a prompt and write the answer that you would rank first.",
        verb="Start writing",
        read=lambda post, task: {"text": post.get("text", ""), "note": post.get("note", "")},
        take_in=_demonstrate,
        context=lambda sheet, filled, errors: {},
    ),
    Kind(
        kind=Task.Kind.WRITE_PROMPT,
        family="write_prompt",
        template="work/write_prompt.html",
        title="Write a prompt",
        about="Think of something that a person might ask an assistant, and write it down.",
        verb="Write prompts",
        read=lambda post, task: writing_forms.read_writing(post),
        take_in=_write_prompt,
        context=_written,
    ),
    Kind(
        kind=Task.Kind.ANNOTATE,
        family="annotate",
        template="work/annotate.html",
        title="Label a prompt",
        about="Read a prompt and tick what holds of it.",
        verb="Label prompts",
        read=lambda post, task: writing_forms.read_annotation(post),
        take_in=_annotate,
        context=_labels,
    ),
)
