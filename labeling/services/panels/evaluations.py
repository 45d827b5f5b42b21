"""What evaluate runs measured of policies, and which of it may stand side by side.

Two figures are compared only where the same data was asked in the same way: the newest evaluation that measured the
part says which, and of each policy its newest figures of that kind count. What was measured otherwise is counted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Prefetch

from labeling.models import EvaluationFile, Model, Project, Run, RunInput, Snapshot, Stage
from labeling.services.agreement import Figure
from labeling.services.panels.drawn import Line, Source

MOST_RUNS: Final = 100
MOST_PER_KIND: Final = 3
SFT, PPO, PTX, OTHER = "SFT", "PPO", "PPO-ptx", "other"
KINDS: Final = (SFT, PPO, PTX, OTHER)
#: What else must be alike, besides the data, for two figures of a part to stand side by side.
SAME: Final = {
    "text": ("split", "text_piece_tokens", "max_text_pieces"),
    "policy": ("split", "temperature", "max_new_tokens", "max_prompt_tokens"),
    "truthfulqa": (),
    "harmful": ("temperature", "max_new_tokens", "max_prompt_tokens"),
    "paraphrases": ("temperature", "max_new_tokens", "max_prompt_tokens"),
}
#: The config field that names a part's data.
DATA: Final = {
    "text": "text",
    "policy": "prompts",
    "truthfulqa": "truthfulqa",
    "harmful": "harmful_prompts",
    "paraphrases": "paraphrases",
}


@dataclass(frozen=True)
class Policy:
    """As an evaluation names it. `model` is None for one that is no row here, say of the hub."""

    name: str
    kind: str
    model: Model | None = None

    @property
    def label(self) -> str:
        return self.name if self.kind == OTHER else f"{self.name} ({self.kind})"


@dataclass(frozen=True)
class Measured:
    """Figures of one policy in one part of a run's report; `part` is the whole part."""

    policy: Policy
    run: Run
    values: Mapping[str, Any]
    part: Mapping[str, Any]
    is_reference: bool

    def line(self, name: str, **more: Any) -> Line:
        return Line(self.policy.label, figure(self.values.get(name)), source_of(self.run), **more)


@dataclass(frozen=True)
class Comparable:
    """`newest` is the run that says how it is measured; `num_otherwise` policies were only measured otherwise."""

    part: str
    newest: Run | None
    data: Snapshot | EvaluationFile | None
    measured: list[Measured]
    num_otherwise: int

    def of_kind(self, kind: str) -> Measured | None:
        return next((one for one in self.measured if one.policy.kind == kind), None)

    def lines(self, name: str) -> list[Line]:
        return [one.line(name) for one in self.measured if figure(one.values.get(name)).value is not None]

    def caveats(self) -> list[str]:
        if not self.num_otherwise:
            return []
        what = "policy was" if self.num_otherwise == 1 else "policies were"
        why = "on other data or with other settings, so not put beside these"
        return [f"{self.num_otherwise} more {what} measured {why}."]


def of_project(project: Project) -> list[Run]:
    """The newest evaluations that ended well, newest first, with all that they read."""
    models = RunInput.objects.select_related("model__run__round", "snapshot__same_as")
    found = Run.objects.filter(project=project, stage=Stage.EVALUATE, state=Run.State.SUCCEEDED)
    inputs = Prefetch("inputs", models.defer("model__run__result", "model__run__error"))
    return list(found.order_by("-pk").prefetch_related(inputs, "files__file")[:MOST_RUNS])


def kind_of(model: Model) -> str:
    run = model.run
    if run and run.stage == Stage.SFT:
        return SFT
    if run and run.stage == Stage.PPO:
        return PTX if run.config.get("ptx_coef") else PPO
    return OTHER


def comparable(evaluations: Iterable[Run], part: str) -> Comparable:
    runs = [run for run in evaluations if _part(run, part)]
    if not runs:
        return Comparable(part, None, None, [], 0)
    newest = runs[0]
    alike = [run for run in runs if _way(run, part) == _way(newest, part)]
    found = _newest_of_each(alike, part)
    others = {one.policy.name for run in runs for one in _measured(run, part)} - set(found)
    return Comparable(part, newest, _data(newest, part), _chosen(found.values()), len(others))


def figure(value: Any) -> Figure:
    if not isinstance(value, Mapping):
        return Figure(value if isinstance(value, int | float) else None)
    num = value.get("num_responses") or value.get("num_pairs") or 0
    return Figure(value.get("value"), value.get("low"), value.get("high"), num, value.get("num_prompts") or 0)


def source_of(run: Run) -> Source:
    return Source(run.name, "run_report", run.uid)


def age(one: Measured) -> int:
    """Grows with each model; 0 for one that is no row here."""
    return one.policy.model.pk if one.policy.model else 0


def _part(run: Run, part: str) -> Mapping[str, Any]:
    """A report is JSON that a stage wrote, perhaps an older one."""
    report = run.result.get("report")
    found = report.get(part) if isinstance(report, Mapping) else None
    return found if isinstance(found, Mapping) and isinstance(found.get("policy"), Mapping) else {}


def _way(run: Run, part: str) -> tuple[Any, ...]:
    data = _data(run, part)
    return (data.pk if data else None, *(run.config.get(name) for name in SAME[part]))


def _data(run: Run, part: str) -> Snapshot | EvaluationFile | None:
    for item in run.inputs.all():
        if item.name == DATA[part] and item.snapshot:
            return item.snapshot.resolved
    return next((item.file for item in run.files.all() if item.name == DATA[part]), None)


def _newest_of_each(runs: Iterable[Run], part: str) -> dict[str, Measured]:
    """By name: of the newest run that measured it as the policy, or else as another's reference."""
    found: dict[str, Measured] = {}
    every = [one for run in runs for one in _measured(run, part)]
    for one in sorted(every, key=lambda one: one.is_reference):
        found.setdefault(one.policy.name, one)
    return found


def _measured(run: Run, part: str) -> Iterator[Measured]:
    whole = _part(run, part)
    for name, field in (("policy", "model"), ("reference", "reference_model")):
        if isinstance(whole.get(name), Mapping):
            yield Measured(_policy(run, field), run, whole[name], whole, is_reference=name == "reference")


def _policy(run: Run, field: str) -> Policy:
    for item in run.inputs.all():
        if item.name == field and item.model:
            return Policy(item.model.name, kind_of(item.model), item.model)
    return Policy(str(run.config.get(field) or "not named"), OTHER)


def _chosen(found: Iterable[Measured]) -> list[Measured]:
    """In the order of training, the newest models of each kind first."""
    every = sorted(found, key=age, reverse=True)
    return [one for kind in KINDS for one in [o for o in every if o.policy.kind == kind][:MOST_PER_KIND]]
