"""Which rows a snapshot holds, in an order and under names that depend on their content alone.

The same judgements give the same file on any machine, so nothing of a row comes from a database id: prompts go by the
hash of their text, and labelers are numbered in the order in which their rankings appear.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q

from labeling.models import Demonstration, Prompt, Ranking, Response, Snapshot, Task, TaskResponse
from labeling.services.quality import reviews
from training.contract.records import AnsweredRow, DemonstrationRow, Message, PromptRow, RewardRow, Row

CHUNK = 500
SURPLUS = "surplus: more judgements than the task wanted"
OF_EVALUATION = "of a human evaluation: it measures models"


@dataclass
class Plan:
    """What goes in, in file order, and what does not, by reason."""

    ids: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    stream: Callable[[], Iterator[Row]] = lambda: iter(())


@dataclass(frozen=True)
class Judged:
    """One ranking, without its texts."""

    pk: int
    labeler: int
    held_out: bool
    prompt_hash: str
    responses_hash: str
    ranks: tuple[int, ...]

    @property
    def content(self) -> str:
        return f"{self.prompt_hash} {self.responses_hash} {json.dumps(self.ranks)} {self.held_out}"


def plan(snapshot: Snapshot) -> Plan:
    """Choose and order the rows of a snapshot."""
    return {
        Snapshot.Kind.REWARD: plan_rankings,
        Snapshot.Kind.SFT: plan_demonstrations,
        Snapshot.Kind.PROMPTS: plan_prompts,
        Snapshot.Kind.RESPONSES: plan_responses,
    }[Snapshot.Kind(snapshot.kind)](snapshot)


def prompt_filter(filters: dict[str, Any], prefix: str = "") -> Q:
    """The filters of a snapshot that speak of prompts."""
    condition = Q(**{f"{prefix}is_retired": False})
    for name, column in (
        ("use_cases", "use_case"),
        ("languages", "language"),
        ("datasets", "dataset"),
        ("splits", "split"),
    ):
        if filters.get(name):
            condition &= Q(**{f"{prefix}{column}__in": filters[name]})
    return condition


def stream_filter(filters: dict[str, Any]) -> Q:
    """How the task of a ranking was chosen."""
    return Q(task__stream__in=filters["streams"]) if filters.get("streams") else Q()


def time_filter(filters: dict[str, Any]) -> Q:
    condition = Q()
    if filters.get("since"):
        condition &= Q(created_at__date__gte=date.fromisoformat(filters["since"]))
    if filters.get("until"):
        condition &= Q(created_at__date__lte=date.fromisoformat(filters["until"]))
    return condition


# Rankings


def plan_rankings(snapshot: Snapshot) -> Plan:
    wanted = Plan()
    judged = list(_judged(snapshot, wanted.left_out))
    signatures = _signatures(judged)
    judged.sort(key=lambda item: (item.content, signatures[item.labeler]))
    labelers = {
        pk: f"labeler_{number:03d}" for number, pk in enumerate(dict.fromkeys(item.labeler for item in judged), 1)
    }
    num_labelers = Counter((item.prompt_hash, item.responses_hash, item.held_out) for item in judged)
    weights = {item.pk: 1.0 / num_labelers[item.prompt_hash, item.responses_hash, item.held_out] for item in judged}
    wanted.ids = [item.pk for item in judged]
    wanted.stream = lambda: _reward_rows(wanted.ids, labelers=labelers, weights=weights)
    return wanted


def _judged(snapshot: Snapshot, left_out: Counter[str]) -> Iterator[Judged]:
    hashes = _responses_hashes(snapshot.project_id)
    decisions = _decisions(snapshot)
    rankings = (
        Ranking.objects.current()
        .filter(time_filter(snapshot.filters), task__project=snapshot.project_id)
        .filter(prompt_filter(snapshot.filters, "task__prompt__"), stream_filter(snapshot.filters))
        .annotate(purpose=F("task__purpose"), review=F("adjudicates"), held_out=F("labeler__is_held_out"))
        .annotate(evaluation=F("task__evaluation"))
        .annotate(prompt_hash=F("task__prompt__content_hash"))
        .values_list(
            "pk",
            "labeler",
            "task",
            "ranks",
            "slot",
            "outcome",
            "purpose",
            "evaluation",
            "review",
            "held_out",
            "prompt_hash",
            named=True,
        )
    )
    for row in rankings.iterator(chunk_size=5000):
        if reason := _reason_against(row, decision=decisions.get(row.task)):
            left_out[reason] += 1
        elif row.held_out and not snapshot.filters.get("with_held_out", True):
            left_out["held-out labeler"] += 1
        else:
            yield Judged(row.pk, row.labeler, row.held_out, row.prompt_hash, hashes[row.task], tuple(row.ranks))


def _decisions(snapshot: Snapshot) -> dict[int, int]:
    """By task, the ranking that a reviewer decided on; none where the snapshot wants the labelers' own."""
    if not snapshot.filters.get("adjudicated", True):
        return {}
    decided = reviews.decisions(snapshot.project).filter(time_filter(snapshot.filters))
    return dict(decided.values_list("task", "pk"))


def _reason_against(row: Any, *, decision: int | None) -> str:
    """`decision`: the ranking that a reviewer decided on for this task."""
    if row.purpose != Task.Purpose.WORK:
        return "not work: qualification, known answer or repeat"
    if row.evaluation is not None:
        return OF_EVALUATION
    if row.slot is None and row.pk != decision:
        is_unwanted = row.review is not None
        return "decision of a review: the labelers' own are wanted" if is_unwanted else SURPLUS
    if decision not in (None, row.pk) and not row.held_out:
        return "replaced by a review"  # held-out labelers never train, so there is nothing to replace
    if row.outcome == Ranking.Outcome.NONE_ACCEPTABLE and not row.ranks:
        return "none acceptable: no order was given"
    if len(set(row.ranks)) < 2:
        return "all tied: no pair to learn from"
    return ""


def _signatures(judged: Sequence[Judged]) -> dict[int, str]:
    """Tells labelers apart by what they judged, so that the order of equal rankings does not hang on ids."""
    contents: dict[int, list[str]] = defaultdict(list)
    for item in judged:
        contents[item.labeler].append(item.content)
    return {pk: hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() for pk, lines in contents.items()}


def _responses_hashes(project_id: int) -> dict[int, str]:
    """One hash per task over its responses in order, computed where the texts are."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT place.task_id, encode(sha256(string_agg(
                     sha256(convert_to(response.text, 'UTF8')), ''::bytea ORDER BY place.position)), 'hex')
            FROM labeling_taskresponse place
            JOIN labeling_task task ON task.id = place.task_id AND task.project_id = %s
            JOIN labeling_response response ON response.id = place.response_id
            WHERE EXISTS (SELECT 1 FROM labeling_ranking ranking WHERE ranking.task_id = task.id)
            GROUP BY place.task_id
            """,
            [project_id],
        )
        return dict(cursor.fetchall())


def _reward_rows(ids: Sequence[int], *, labelers: dict[int, str], weights: dict[int, float]) -> Iterator[RewardRow]:
    for chunk in _chunks(ids):
        rankings = Ranking.objects.select_related("task__prompt", "labeler").in_bulk(chunk)
        texts = _texts({ranking.task_id for ranking in rankings.values()})
        for pk in chunk:
            ranking = rankings[pk]
            prompt = ranking.task.prompt
            if prompt is None:
                raise AssertionError("a ranking's task has a prompt: task_has_a_prompt_unless_it_asks_for_one")
            yield RewardRow(
                responses=texts[ranking.task_id],
                ranks=list(ranking.ranks),
                labeler=labelers[ranking.labeler_id],
                weight=weights[pk],
                held_out=ranking.labeler.is_held_out,
                **_prompt_fields(prompt),
            )


def _texts(tasks: set[int]) -> dict[int, list[str]]:
    texts: dict[int, list[str]] = defaultdict(list)
    places = TaskResponse.objects.filter(task__in=tasks).order_by("task", "position")
    for task, text in places.values_list("task", "response__text"):
        texts[task].append(text)
    return texts


# Demonstrations and prompts


def plan_demonstrations(snapshot: Snapshot) -> Plan:
    wanted = Plan()
    held_out = Q(labeler__is_held_out=True)
    rows = Demonstration.objects.counted().filter(
        time_filter(snapshot.filters),
        prompt_filter(snapshot.filters, "prompt__"),
        prompt__project=snapshot.project_id,
    )
    wanted.left_out["held-out labeler"] = rows.filter(held_out).count()
    kept = rows.exclude(held_out).values_list("prompt__content_hash", "text", "pk")
    ordered = sorted((prompt, hashlib.sha256(text.encode()).hexdigest(), pk) for prompt, text, pk in kept.iterator())
    wanted.ids = [pk for *_, pk in ordered]
    wanted.stream = lambda: _demonstration_rows(wanted.ids)
    return wanted


def _demonstration_rows(ids: Sequence[int]) -> Iterator[DemonstrationRow]:
    for chunk in _chunks(ids):
        rows = Demonstration.objects.select_related("prompt").in_bulk(chunk)
        for pk in chunk:
            yield DemonstrationRow(response=rows[pk].text, **_prompt_fields(rows[pk].prompt))


def plan_prompts(snapshot: Snapshot) -> Plan:
    wanted = Plan()
    prompts = Prompt.objects.filter(project=snapshot.project_id)
    if evaluation := snapshot.filters.get("evaluation"):
        wave = snapshot.filters["wave"]
        prompts = prompts.filter(evaluations__evaluation__uid=evaluation, evaluations__wave=wave)
    found = prompts.filter(prompt_filter(snapshot.filters))
    wanted.ids = list(found.order_by("content_hash").values_list("pk", flat=True))
    wanted.left_out["retired"] = prompts.filter(is_retired=True).count()
    wanted.stream = lambda: _prompt_rows(wanted.ids)
    return wanted


def _prompt_rows(ids: Sequence[int]) -> Iterator[PromptRow]:
    for chunk in _chunks(ids):
        rows = Prompt.objects.in_bulk(chunk)
        for pk in chunk:
            yield PromptRow(**_prompt_fields(rows[pk]))


# Responses


def plan_responses(snapshot: Snapshot) -> Plan:
    """Prompts that have a response; the texts are read when they are written."""
    wanted = Plan()
    prompts = Prompt.objects.filter(prompt_filter(snapshot.filters), project=snapshot.project_id)
    answered = prompts.filter(Exists(Response.objects.filter(prompt=OuterRef("pk"))))
    wanted.ids = list(answered.order_by("content_hash").values_list("pk", flat=True))
    wanted.left_out["no response"] = prompts.count() - len(wanted.ids)
    wanted.stream = lambda: _answered_rows(wanted.ids)
    return wanted


def _answered_rows(ids: Sequence[int]) -> Iterator[AnsweredRow]:
    for chunk in _chunks(ids):
        rows = Prompt.objects.in_bulk(chunk)
        texts: dict[int, set[str]] = defaultdict(set)
        for prompt, text in Response.objects.filter(prompt__in=chunk).values_list("prompt", "text"):
            texts[prompt].add(text)
        for pk in chunk:
            yield AnsweredRow(responses=sorted(texts[pk]), **_prompt_fields(rows[pk]))


def _prompt_fields(prompt: Prompt) -> dict[str, Any]:
    return {
        "prompt_id": prompt.content_hash,
        "prompt": [Message(role=message["role"], content=message["content"]) for message in prompt.messages],
        "split": prompt.split,
        "category": prompt.use_case,
        "language": prompt.language,
        "source": prompt.dataset or prompt.source,
    }


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
