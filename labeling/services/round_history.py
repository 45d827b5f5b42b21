"""How a project's rounds compare: what each made better, and by how much."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core.cache import cache
from django.db.models import Count, Max

from labeling.models import Evaluation, Model, Project, Ranking, Round
from labeling.services import evaluations
from labeling.services.agreement import overall

MOST: Final = 30  # the newest rounds; more would not be read
KEPT_SECONDS: Final = 7 * 24 * 3600


@dataclass(frozen=True)
class Point:
    """A figure of one round, with its 95 % interval where one is known."""

    number: int
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Chart:
    """Up to two lines over the rounds. `is_share`: figures are shares, shown in per cent."""

    title: str
    hint: str
    lines: tuple[Line, ...]
    is_share: bool = False


def of_project(project: Project) -> list[Chart]:
    """The charts that have anything to show."""
    found = Round.objects.filter(project=project, ppo_run__state="succeeded").select_related("ppo_run", "reward_run")
    rounds = sorted(found.order_by("-number")[:MOST], key=lambda round: round.number)
    charts = [_reward(rounds), _kl(rounds), _accuracy(rounds), _agreement(rounds)]
    return [chart for chart in charts if chart.lines]


def human_win_rates(project: Project) -> Chart:
    """For managers: everybody else ranks blind. By the newest evaluation that holds both models."""
    rounds = _with_policies(project)
    first = next((round.sft_run.model for round in rounds if round.sft_run), None)
    won = _Won(project)
    over_sft = (won.point(round, first) for round in rounds if first)
    over_before = (won.point(round, round.policy_before) for round in rounds)
    hint = "How often people prefer the round's policy on held-out prompts; a tie is half. 50 % is no difference."
    lines = (_line("over the first SFT", over_sft), _line("over the policy before", over_before))
    return Chart("Human win rate", hint, _drawn(lines), is_share=True)


class _Won:
    """Evaluations of a project by the models that take part, newest first."""

    def __init__(self, project: Project) -> None:
        found = Evaluation.objects.filter(project=project).prefetch_related("entrants").order_by("-pk")
        self.evaluations = [(one, {entrant.model_id for entrant in one.entrants.all()}) for one in found]

    def point(self, round: Round, rival: Model | None) -> Point | None:
        model = round.ppo_run.model  # type: ignore[union-attr]
        if rival is None or rival == model:
            return None
        both = {model.pk, rival.pk}
        for evaluation, models in self.evaluations:
            rate = evaluations.results.of(evaluation).of_models(model.pk, rival.pk) if both <= models else None
            if rate and rate.figure.value is not None:
                return Point(round.number, rate.figure.value, rate.figure.low, rate.figure.high)
        return None


def _with_policies(project: Project) -> list[Round]:
    found = Round.objects.filter(project=project, ppo_run__model__isnull=False)
    found = found.select_related("ppo_run__model", "sft_run__model", "policy_before").order_by("-number")[:MOST]
    return sorted(found, key=lambda round: round.number)


def _reward(rounds: Iterable[Round]) -> Chart:
    hint = "By each round's own reward model, on validation prompts: what counts is the rise within a round."
    lines = (_of_ppo("after PPO", "valid_reward_after", rounds), _of_ppo("before", "valid_reward_before", rounds))
    return Chart("Reward", hint, _drawn(lines))


def _kl(rounds: Iterable[Round]) -> Chart:
    hint = "How far each policy went from the model it began with, in nats a response."
    return Chart("KL", hint, _drawn([_of_ppo("after PPO", "valid_kl_after", rounds)]))


def _accuracy(rounds: Iterable[Round]) -> Chart:
    hint = "Pairs of held-out rankings that the round's reward model puts in people's order."
    line = _line("pairs right", (_with_interval(round.number, _held_out(round)) for round in rounds))
    return Chart("Reward model", hint, _drawn([line]), is_share=True)


def _agreement(rounds: Iterable[Round]) -> Chart:
    hint = "Two people on the same two responses of the round's policy. The more alike those are, the lower it is."
    given = Ranking.objects.counted().filter(task__round__in=rounds, ranks__len__gte=2)
    counts = given.order_by().values_list("task__round").annotate(num=Count("pk"), newest=Max("pk"))
    versions = {round_id: f"{num}:{newest}" for round_id, num, newest in counts}
    line = _line("pairs agreed on", (_agreed(round, versions[round.pk]) for round in rounds if round.pk in versions))
    return Chart("Agreement of people", hint, _drawn([line]), is_share=True)


def _agreed(round: Round, version: str) -> Point | None:
    """Kept until one of its rankings is given, changed or voided: counting takes longer than the page may."""
    key = f"round-agreement:{round.pk}:{version}"
    found: overall.Agreement | None = cache.get(key)
    if found is None:
        given = Ranking.objects.counted().filter(task__round=round, ranks__len__gte=2)
        found = overall.of_rankings(given)
        cache.set(key, found, KEPT_SECONDS)
    return _with_interval(round.number, {"value": found.share, "low": found.low, "high": found.high})


def _of_ppo(name: str, figure: str, rounds: Iterable[Round]) -> Line:
    return _line(name, (_point(round.number, _summary(round).get(figure)) for round in rounds))


def _summary(round: Round) -> Mapping[str, Any]:
    result = (round.ppo_run.result if round.ppo_run else None) or {}
    return dict(result.get("summary") or {})


def _held_out(round: Round) -> Mapping[str, Any]:
    result = (round.reward_run.result if round.reward_run else None) or {}
    return dict(((result.get("report") or {}).get("accuracy") or {}).get("valid") or {})


def _with_interval(number: int, figure: Mapping[str, Any]) -> Point | None:
    point = _point(number, figure.get("value"))
    return Point(number, point.value, figure.get("low"), figure.get("high")) if point else None


def _point(number: int, value: Any) -> Point | None:
    return None if value is None else Point(number, float(value))


def _line(name: str, points: Iterable[Point | None]) -> Line:
    return Line(name, tuple(point for point in points if point is not None))


def _drawn(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(line for line in lines if line.points)
