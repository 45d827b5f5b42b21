"""What an evaluation says: win rates with intervals, strengths, ratings and flags by model.

A prompt's score for two models is the mean of its judgements (1 won, ½ tied, 0 lost); a win rate is the mean over
prompts, each of which counts the same, however many judged it. Models are compared on the same prompts, and intervals
redraw whole prompts with all that was said about them.

Shapes: V verdicts (a judgement of two models), G pairs of models, R rows (a pair on a prompt), B resamples.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from django.core.cache import cache
from django.db.models import Count, Max
from django.utils import timezone

from labeling.models import Evaluation, EvaluationItem, Slot
from labeling.services import by_model, leaderboard
from labeling.services.agreement import Figure, Scope
from labeling.services.agreement.resampling import Resamples, figures, ratio, rows
from labeling.services.evaluations import reading
from labeling.services.evaluations.reading import Judgement

VERSION: Final = 1  # of what is kept: count up with every change of its fields
KEPT_SECONDS: Final = 3600
NEVER_MET: Final = "nobody has compared them"
ALL_THE_SAME: Final = "every prompt says the same"


class Entrant(NamedTuple):
    model_id: int
    name: str
    is_baseline: bool


@dataclass(frozen=True)
class WinRate:
    """How often the first model is preferred to the second. `figure.num` counts people's judgements, `num_tasks`
    prompts, those among them on which both said the same; `scores` are what each prompt's judgements gave.
    `num_planned` prompts will count when all is judged."""

    figure: Figure
    won: int
    tied: int
    lost: int
    num_same: int
    num_planned: int
    scores: dict[int, tuple[float, ...]]

    @property
    def says(self) -> str:
        """What the interval allows to say: "better", "worse", or ""."""
        if self.figure.low is None or self.figure.high is None:
            return ""
        return "better" if self.figure.low > 0.5 else "worse" if self.figure.high < 0.5 else ""

    @property
    def turned(self) -> "WinRate":
        """Of the second over the first."""
        low, high = (None if end is None else 1 - end for end in (self.figure.high, self.figure.low))
        value = None if self.figure.value is None else 1 - self.figure.value
        return WinRate(
            figure=replace(self.figure, value=value, low=low, high=high),
            won=self.lost,
            tied=self.tied,
            lost=self.won,
            num_same=self.num_same,
            num_planned=self.num_planned,
            scores={prompt: tuple(1 - score for score in given) for prompt, given in self.scores.items()},
        )


@dataclass(frozen=True)
class Report:
    made_at: datetime
    entrants: list[Entrant]
    win_rates: dict[tuple[int, int], WinRate]  # by the positions of the two, both ways round
    board: leaderboard.Board
    said: by_model.Report
    num_prompts: int
    num_tasks: int
    num_judgements: int
    num_wanted: int  # judgements, those that are in among them
    num_none_acceptable: int
    left_out: dict[str, int]

    @property
    def baseline(self) -> int:
        return next(place for place, entrant in enumerate(self.entrants) if entrant.is_baseline)

    def over_baseline(self) -> list[tuple[Entrant, WinRate]]:
        """The others, best first."""
        others = [place for place in range(len(self.entrants)) if place != self.baseline]
        found = [(self.entrants[place], self.win_rates[place, self.baseline]) for place in others]
        return sorted(found, key=lambda row: -(row[1].figure.value or 0.0))

    def matrix(self) -> list[tuple[Entrant, list[WinRate | None]]]:
        """Wins of the row over the column."""
        places = range(len(self.entrants))
        return [(self.entrants[row], [self.win_rates.get((row, column)) for column in places]) for row in places]

    def of_models(self, model_id: int, rival_id: int) -> WinRate | None:
        place_of = {entrant.model_id: place for place, entrant in enumerate(self.entrants)}
        if model_id not in place_of or rival_id not in place_of:
            return None
        return self.win_rates.get((place_of[model_id], place_of[rival_id]))


def of(evaluation: Evaluation) -> Report:
    """Kept until a judgement is given, changed or voided, or the evaluation itself changes."""
    counts = reading.counted(evaluation).aggregate(num=Count("pk"), newest=Max("pk"))
    slots = Slot.objects.filter(task__evaluation=evaluation).count()
    state = f"{evaluation.state}:{evaluation.step}:{evaluation.wave}:{slots}"
    key = f"evaluation:{VERSION}:{evaluation.uid}:{state}:{counts['num']}:{counts['newest']}"
    found: Report | None = cache.get(key)
    if found is None:
        found = report(evaluation)
        cache.set(key, found, KEPT_SECONDS)
    return found


def report(evaluation: Evaluation) -> Report:
    read = reading.read(evaluation)
    taking_part = evaluation.entrants.select_related("model")
    entrants = [Entrant(one.model_id, one.model.name, one.is_baseline) for one in taking_part]
    scope = Scope()
    items = list(EvaluationItem.objects.filter(prompt__evaluation=evaluation).values_list("number", "left_out"))
    reasons = Counter(left_out for _, left_out in items if left_out)
    return Report(
        made_at=timezone.now(),
        entrants=entrants,
        win_rates=win_rates(read.judgements, read.same, num_models=len(entrants), planned=_planned(evaluation, items)),
        board=_board(evaluation, read, entrants),
        said=by_model.of_rankings(evaluation.project, reading.counted(evaluation), scope),
        num_prompts=evaluation.prompts.count(),
        num_tasks=len(items) - reasons.total(),
        num_judgements=len(read.judgements),
        num_wanted=Slot.objects.filter(task__evaluation=evaluation).count(),
        num_none_acceptable=read.num_none_acceptable,
        left_out={str(EvaluationItem.LeftOut(reason).label): num for reason, num in sorted(reasons.items())},
    )


def _planned(evaluation: Evaluation, items: Iterable[tuple[int, str]]) -> Counter[tuple[int, int]]:
    """By pair of models: the prompts on which they meet."""
    kinds = reading.meetings(evaluation)
    counting = ("", EvaluationItem.LeftOut.SAME)
    met = (sorted(kinds[number]) for number, left_out in items if left_out in counting)
    return Counter(pair for models in met for pair in combinations(models, 2))


def win_rates(
    judgements: Sequence[Judgement],
    same: Sequence[Judgement] = (),
    *,
    num_models: int,
    planned: Mapping[tuple[int, int], int] = MappingProxyType({}),
) -> dict[tuple[int, int], WinRate]:
    """Of every two models, both ways round. `same`: ties of which nobody was asked."""
    by_people, by_nobody = _scores(judgements), _scores(same)
    pairs = list(combinations(range(num_models), 2))
    scores = [by_people.get(pair, {}) | by_nobody.get(pair, {}) for pair in pairs]
    found: dict[tuple[int, int], WinRate] = {}
    for pair, mean, given in zip(pairs, _figures(scores), scores, strict=True):
        asked = [score for some in by_people.get(pair, {}).values() for score in some]
        found[pair] = WinRate(
            figure=replace(mean, num=len(asked)),
            won=asked.count(1.0),
            tied=asked.count(0.5),
            lost=asked.count(0.0),
            num_same=len(by_nobody.get(pair, {})),
            num_planned=planned.get(pair, 0),
            scores={prompt: tuple(some) for prompt, some in sorted(given.items())},
        )
    return found | {(other, one): rate.turned for (one, other), rate in found.items()}


def _scores(judgements: Iterable[Judgement]) -> dict[tuple[int, int], dict[int, list[float]]]:
    """By pair and prompt: 1 where the first was preferred, 0 where the second, ½ where neither."""
    found: dict[tuple[int, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for prompt, models, ranks in judgements:
        for (one, rank), (other, its) in combinations(sorted(zip(models, ranks, strict=True)), 2):
            found[one, other][prompt].append(1.0 if rank < its else 0.5 if rank == its else 0.0)
    return found


def _figures(scores: Sequence[dict[int, list[float]]]) -> list[Figure]:
    """The mean of the prompts' means, for each pair. All pairs are redrawn by the same prompts."""
    entries = [(pair, prompt, np.mean(given)) for pair, of in enumerate(scores) for prompt, given in of.items()]
    prompts, task_E = np.unique(np.array([prompt for _, prompt, _ in entries], dtype=np.int64), return_inverse=True)
    group_E = np.array([pair for pair, _, _ in entries], dtype=np.int64)
    found = rows(task=task_E, group=group_E, num_groups=len(scores))
    amounts_RS = found.add_up(np.array([(mean, 1.0) for *_, mean in entries], dtype=np.float64).reshape(-1, 2))
    sums_G2B = Resamples(len(prompts)).all_sums(found, amounts_RS)
    means = figures(
        ratio(sums_G2B[:, 0], sums_G2B[:, 1]),
        num=sums_G2B[:, 1, 0],
        num_tasks=found.num_tasks(amounts_RS[:, 1]),
        why_not=[NEVER_MET] * len(scores),
    )
    return [_honest(mean) for mean in means]


def _honest(mean: Figure) -> Figure:
    """Redrawing prompts that all say the same hides how little is known."""
    if mean.low is None or mean.low != mean.high:
        return mean
    return replace(mean, low=None, high=None, why_not=ALL_THE_SAME)


def _board(evaluation: Evaluation, read: reading.Read, entrants: Sequence[Entrant]) -> leaderboard.Board:
    """Bradley–Terry. A prompt on which all say the same is as many ties as there would have been judgements."""
    given = [*read.judgements, *(one for one in read.same for _ in range(evaluation.num_wanted))]
    judged: list[Any] = [(one.prompt, [entrants[place].model_id for place in one.models], one.ranks) for one in given]
    names = {entrant.model_id: entrant.name for entrant in entrants}
    return leaderboard.of_rankings(judged, names, Scope(), "bradley_terry")
