"""What a manager asks for: which models meet how, on which prompts, and what that costs before anybody begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from django.db.models import Exists, OuterRef, QuerySet

from labeling.models import (
    HELD_OUT,
    MAX_JUDGEMENTS,
    MAX_RESPONSES_FOR_PEOPLE,
    MIN_RESPONSES,
    Evaluation,
    Model,
    Project,
    Prompt,
    Response,
    Stage,
)
from labeling.services import selection
from training.contract import configs
from training.contract.configs import ConfigError

Kind = Evaluation.Kind
SETTINGS: Final = ("temperature", "top_p", "max_prompt_tokens", "max_new_tokens")
MAX_PROMPTS: Final = 10_000


class EvaluationError(ValueError):
    """What was asked cannot be done; the text is for the manager."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """`models` holds the baseline, too. `sampling` has the names of SETTINGS."""

    project: Project
    name: str = ""
    models: Sequence[Model]
    baseline: Model
    kind: str = Kind.BASELINE
    splits: Sequence[str] = HELD_OUT
    num_prompts: int
    num_wanted: int = 1
    priority: int = 0
    rate_first: bool = False
    seed: int = 1
    preset: str = "tiny-cpu"
    sampling: Mapping[str, Any]


@dataclass(frozen=True)
class Cost:
    """`to_sample` are the models that lack responses; tasks and judgements are the most there can be."""

    num_available: int
    num_prompts: int
    to_sample: tuple[Model, ...]
    num_tasks: int
    num_judgements: int

    @property
    def num_generations(self) -> int:
        return len(self.to_sample) * self.num_prompts


def check(wish: Wish) -> None:
    """Raises EvaluationError; the first thing that is wrong is said."""
    if not MIN_RESPONSES <= len({model.pk for model in wish.models}) <= MAX_RESPONSES_FOR_PEOPLE:
        raise EvaluationError(f"Choose {MIN_RESPONSES} to {MAX_RESPONSES_FOR_PEOPLE} models.")
    if wish.baseline.pk not in {model.pk for model in wish.models}:
        raise EvaluationError("The baseline must be one of the models.")
    for model in wish.models:
        if model.project_id != wish.project.pk or model.kind == Model.Kind.REWARD:
            raise EvaluationError(f"{model.name} does not answer prompts of this project.")
    if not wish.splits or not set(wish.splits) <= set(HELD_OUT):
        raise EvaluationError("Prompts that trained a model cannot judge it: choose validation or test prompts.")
    if not 1 <= wish.num_prompts <= MAX_PROMPTS:
        raise EvaluationError(f"Ask for 1 to {MAX_PROMPTS:,} prompts.")
    if not 1 <= wish.num_wanted <= MAX_JUDGEMENTS:
        raise EvaluationError(f"Ask for 1 to {MAX_JUDGEMENTS} judgements per task.")
    try:
        configs.build(Stage.GENERATE, sampling_config(wish) | {"model": "inputs/model", "prompts": "inputs/prompts"})
    except ConfigError as error:
        raise EvaluationError(f"{error.field.replace('_', ' ')} {error.message}.") from None


def cost(wish: Wish) -> Cost:
    """Draws the lot that `start` will draw, and counts. Raises EvaluationError."""
    check(wish)
    available = pool(project=wish.project, models=wish.models, splits=wish.splits)
    drawn = draw(available, num=wish.num_prompts, seed=wish.seed)
    num_tasks = len(drawn) * len(meetings(wish.kind, len(wish.models), baseline=0))
    return Cost(
        num_available=available.count(),
        num_prompts=len(drawn),
        to_sample=tuple(model for model in wish.models if lacks(model, drawn, sampling=wish.sampling)),
        num_tasks=num_tasks,
        num_judgements=num_tasks * wish.num_wanted,
    )


def sampling_config(asked: Wish | Evaluation) -> dict[str, Any]:
    """A generate run's config but for its inputs: one response per prompt."""
    own = {"num_responses": 1, "seed": asked.seed, "split": "all"}
    return configs.preset(Stage.GENERATE, asked.preset) | dict(settings_of(asked)) | own


def settings_of(asked: Wish | Evaluation) -> Mapping[str, Any]:
    if isinstance(asked, Wish):
        return asked.sampling
    return {name: getattr(asked, name) for name in SETTINGS}


def meetings(kind: str, num_models: int, *, baseline: int) -> list[tuple[int, ...]]:
    """The comparisons of one prompt, as the models that meet, by their position."""
    if kind == Kind.RANKING:
        return [tuple(range(num_models))]
    if kind == Kind.PAIRS:
        return list(combinations(range(num_models), 2))
    return [(baseline, other) for other in range(num_models) if other != baseline]


def pool(*, project: Project, models: Sequence[Model], splits: Sequence[str]) -> QuerySet[Prompt]:
    """Prompts that may be drawn: held out, in use, and answered by every model that nobody here can ask."""
    found = Prompt.objects.filter(project=project, split__in=list(splits)).in_use()
    for model in models:
        if model.kind == Model.Kind.EXTERNAL:
            found = found.filter(Exists(Response.objects.filter(prompt=OuterRef("pk"), model=model)))
    return found


def draw(prompts: QuerySet[Prompt], *, num: int, seed: int) -> list[int]:
    """Ids by lot, in the order in which they will be handed out. The same prompts and seed give the same lot."""
    return [choice.prompt_id for choice in selection.sample(prompts, num=num, seed=seed)]


def fresh(model: Model, *, sampling: Mapping[str, Any]) -> QuerySet[Response]:
    """Responses that may stand for a model: sampled with these settings; of an external one, what was imported."""
    found = Response.objects.filter(model=model)
    if model.kind == Model.Kind.EXTERNAL:
        return found
    # A server that answered under a model's name need not be it.
    sampled = found.filter(run__stage=Stage.GENERATE, run__config__contains=dict(sampling))
    return sampled.exclude(run__config__backend="openai")


def lacks(model: Model, prompts: Sequence[int], *, sampling: Mapping[str, Any]) -> bool:
    """Whether it must be asked: external models never can be."""
    if model.kind == Model.Kind.EXTERNAL:
        return False
    answered = fresh(model, sampling=sampling).filter(prompt__in=prompts)
    return answered.values("prompt").distinct().count() < len(prompts)
