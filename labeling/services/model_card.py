"""A model's card: what it is, what it learned from, how well it does, and what is known against it. Markdown.

Everything in it is read from rows, and a limit is named only where the rows show it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet

from labeling.models import Model, Run, Snapshot, Stage
from labeling.services import lineage, runs, withdrawals
from labeling.services.comparison import figures
from labeling.services.lineage import Ancestor, Frozen

#: Fewer judgements, and intervals are wide: InstructGPT's reward model had some 33,000 prompts.
FEW_JUDGEMENTS: Final = 1_000
FEW_LABELERS: Final = 3
SMALL_MODEL: Final = 100_000_000
MOST_FIGURES: Final = 30
MOST_EVALUATIONS: Final = 3
#: Parts of a report that tell of its details, not of the model as a whole.
DETAILS: Final = ("by_category", "by_rank_distance", "by_length_difference", "reference", "examples", "calibration")


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    name: str
    value: float
    low: float
    high: float


def write(model: Model) -> str:
    """The whole card."""
    ancestors = lineage.of(model)
    parts = [
        f"# {_plain(model.name)}",
        _about(model, ancestors[0]),
        _how_to_use(model),
        _data(ancestors),
        _figures(model),
        _training(model.run) if model.run and model.run.stage != Stage.FETCH else "",
        _origin(ancestors),
        _limits(model, ancestors),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def limits(model: Model, ancestors: list[Ancestor]) -> list[str]:
    """What is known against the model, one sentence each."""
    held = list(_judged(ancestors))
    return [*_limits_of_data(held), *_limits_of_figures(model), *_limits_of_the_model(model, ancestors)]


def _about(model: Model, itself: Ancestor) -> str:
    facts = {
        "Kind": model.get_kind_display(),
        "Made": f"{model.created_at:%d %B %Y}",
        "Parameters": f"{model.num_parameters:,}" if model.num_parameters else "not known",
        "By run": f"{_plain(itself.run.name)} ({itself.run.get_stage_display()})" if itself.run else "no run here",
        "From": ", ".join(_plain(item.name) for item in itself.models) or _plain(itself.brought) or "nothing before it",
        "State": "current policy" if model.is_current else "retired" if model.is_retired else "in use",
        "SHA-256 of its files": f"`{model.sha256}`" if model.sha256 else "no files here",
    }
    note = f"\n\n{_plain(model.note)}" if model.note else ""
    return _table(["What", "Value"], [[name, value] for name, value in facts.items()]) + note


def _how_to_use(model: Model) -> str:
    if not model.storage_key:
        return "## Use\n\nIt is known by name alone: its responses were imported, its weights are elsewhere."
    name = "AutoModelForCausalLM" if model.kind == Model.Kind.POLICY else "AutoModelForSequenceClassification"
    what = (
        "It continues a conversation set by its chat template."
        if model.kind == Model.Kind.POLICY
        else "Its one output scores a whole conversation: only differences between two responses to one prompt mean"
        " something. What is added to every score is `reward_bias` in config.json."
    )
    code = f'from transformers import AutoTokenizer, {name}\n\nmodel = {name}.from_pretrained("folder")'
    return f'## Use\n\n{what}\n\n```python\n{code}\ntokenizer = AutoTokenizer.from_pretrained("folder")\n```'


def _data(ancestors: list[Ancestor]) -> str:
    rows = [[_plain(ancestor.model.name), *_data_row(frozen)] for ancestor in ancestors for frozen in ancestor.data]
    if not rows:
        return "## Data\n\nNothing is recorded of what it learned from."
    head = ["Model", "Snapshot", "Kind", "Rows", "Prompts", "Judgements", "Labelers", "Guideline versions"]
    return "## Data\n\nOf the model itself first, then of those it came from.\n\n" + _table(head, rows)


def _data_row(frozen: Frozen) -> list[str]:
    snapshot = frozen.snapshot
    return [
        f"{_plain(snapshot.name)} `{(snapshot.sha256 or '')[:12]}`",
        snapshot.get_kind_display(),
        f"{snapshot.num_rows:,}",
        f"{snapshot.stats['num_prompts']:,}" if "num_prompts" in snapshot.stats else "–",
        f"{frozen.num_judgements:,}" if frozen.what else "–",
        f"{frozen.num_labelers:,}" if frozen.what else "–",
        ", ".join(map(str, frozen.guideline_versions)) or "–",
    ]


def _figures(model: Model) -> str:
    """Figures with intervals first, of its own run and of what measured it later; then the plain ones of its run."""
    parts = []
    if found := list(intervals(model.metrics))[:MOST_FIGURES]:
        parts.append("Of its own run:\n\n" + _interval_table(found))
    for run in evaluations(model):
        if found := list(intervals(_measured(model, run)))[:MOST_FIGURES]:
            parts.append(f"By the evaluation {_plain(run.name)}:\n\n" + _interval_table(found))
    if single := figures(_without_intervals(model.metrics))[:MOST_FIGURES]:
        rows = [[_plain(name), _plain(value)] for name, value in single]
        parts.append("Other figures of its run:\n\n" + _table(["Figure", "Value"], rows))
    return "\n\n".join(["## Figures", "Intervals are 95 %, by resampling prompts.", *parts]) if parts else ""


def evaluations(model: Model) -> QuerySet[Run]:
    """Runs that measured it, newest first; not those that compared another model with it."""
    name = "reward_model" if model.kind == Model.Kind.REWARD else "model"
    measured = Run.objects.filter(stage=Stage.EVALUATE, state=Run.State.SUCCEEDED)
    return measured.filter(inputs__name=name, inputs__model=model).order_by("-pk")[:MOST_EVALUATIONS]


def _measured(model: Model, run: Run) -> dict[str, Any]:
    """The parts of an evaluation's report that are about this model."""
    report = run.result.get("report") or {}
    is_reward = model.kind == Model.Kind.REWARD
    return {name: part for name, part in report.items() if (name == "reward_model") == is_reward}


def intervals(report: Mapping[str, Any], prefix: str = "") -> Iterator[Interval]:
    """Every figure of a report that has an interval, named by its path."""
    for name, value in sorted(report.items()):
        path = f"{prefix}{name.replace('_', ' ')}"
        if not isinstance(value, Mapping) or name in DETAILS or name.endswith("by_category"):
            continue
        if _is_interval(value):
            yield Interval(path, value["value"], value["low"], value["high"])
        else:
            yield from intervals(value, f"{path}, ")


def _is_interval(value: Mapping[str, Any]) -> bool:
    return all(isinstance(value.get(name), int | float) for name in ("value", "low", "high"))


def _without_intervals(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_intervals(value) if isinstance(value, Mapping) else value
        for name, value in report.items()
        if not (isinstance(value, Mapping) and _is_interval(value))
    }


def _interval_table(found: list[Interval]) -> str:
    rows = [[_plain(item.name), f"{item.value:.4g}", f"{item.low:.4g} to {item.high:.4g}"] for item in found]
    return _table(["Figure", "Value", "Interval"], rows)


def _training(run: Run) -> str:
    changed = runs.changes_from_preset(run)
    rows = [_option(name, value, changed) for name, value in sorted(run.config.items()) if value != ""]
    if changed:
        said = f"Preset {run.preset}; what differs from it is bold."
        return f"## Training\n\n{said}\n\n" + _table(["Option", "Value", "In the preset"], rows)
    said = f"Preset {run.preset}, unchanged." if run.preset else "Without a preset."
    return f"## Training\n\n{said}\n\n" + _table(["Option", "Value"], [row[:2] for row in rows])


def _option(name: str, value: Any, changed: Mapping[str, Any]) -> list[str]:
    if name not in changed:
        return [_plain(name), _plain(str(value)), ""]
    return [f"**{_plain(name)}**", f"**{_plain(str(value))}**", _plain(str(changed[name]))]


def _origin(ancestors: list[Ancestor]) -> str:
    lines = []
    for ancestor in ancestors:
        before = [_plain(item.name) for item in ancestor.models] + [_plain(one.snapshot.name) for one in ancestor.data]
        words = [f"{_plain(ancestor.model.name)} ({ancestor.model.get_kind_display().lower()})"]
        words += [f"by run {_plain(ancestor.run.name)}"] if ancestor.run else []
        words += [f"of {', '.join(before)}"] if before else []
        words += [f"brought from {_plain(ancestor.brought)}"] if ancestor.brought else []
        lines.append("- " + ", ".join(words))
    return "## Lineage\n\n" + "\n".join(lines)


def _limits(model: Model, ancestors: list[Ancestor]) -> str:
    return "## Known limits\n\n" + "\n".join(f"- {sentence}" for sentence in limits(model, ancestors))


def _judged(ancestors: list[Ancestor]) -> Iterator[Frozen]:
    seen = {frozen.snapshot.pk: frozen for ancestor in ancestors for frozen in ancestor.data if frozen.what}
    yield from seen.values()


def _limits_of_data(held: list[Frozen]) -> Iterator[str]:
    labelers = lineage.judgements_by_labeler(held)
    judgements = labelers.total()
    if held and judgements < FEW_JUDGEMENTS:
        yield f"It stands on {judgements:,} judgements, which is few: expect it to be wrong where nobody judged."
    if held and len(labelers) < FEW_LABELERS:
        who = "One person" if len(labelers) == 1 else f"{len(labelers)} people"
        yield f"{who} judged: it has their taste, and no one else's."
    languages = sorted({name for frozen in held for name in frozen.snapshot.stats.get("languages", {})})
    if languages:
        yield f"Languages of its judged data: {_plain(', '.join(languages))}. Nothing was judged in others."
    for snapshot, what in withdrawals.held_by_snapshots(frozen.snapshot for frozen in held):
        people = f"{what.num_people} {'person' if what.num_people == 1 else 'people'}"
        yield f"Snapshot {_plain(snapshot.name)} holds data of {people} who withdrew it later."


def _limits_of_figures(model: Model) -> Iterator[str]:
    if model.kind == Model.Kind.EXTERNAL:
        return
    measured = evaluations(model).exists()
    if model.kind == Model.Kind.POLICY and not measured:
        yield "No evaluation of it has been run: nothing here says how often it is right, refuses, or does harm."
    accuracy = model.metrics.get("accuracy")
    agreement = model.metrics.get("human_agreement")
    if isinstance(accuracy, Mapping) and not accuracy.get("held_out_labelers"):
        yield "It was not measured on labelers who did not train it."
    if model.kind == Model.Kind.REWARD and isinstance(agreement, Mapping) and agreement.get("value") is not None:
        yield f"Two people agree on {100 * agreement['value']:.0f} % of the pairs: no score can be right more often."
    if model.kind == Model.Kind.REWARD:
        yield "A policy trained against it finds what it overrates: rewards far above those of its data say little."


def _limits_of_the_model(model: Model, ancestors: list[Ancestor]) -> Iterator[str]:
    if model.num_parameters and model.num_parameters < SMALL_MODEL:
        yield f"With {model.num_parameters:,} parameters it is small: it shows that the loop works, and little else."
    run = model.run
    if run and run.stage == Stage.PPO and not run.config.get("ptx_coef"):
        yield "PPO ran without pretraining gradients (ptx): it may have lost abilities that its SFT model had."
    if any(ancestor.brought for ancestor in ancestors):
        yield "It comes from a model that was trained elsewhere, on data that is not recorded here."
    if model.kind == Model.Kind.EXTERNAL:
        yield "It was not made here: nothing of its data or training is recorded."
    if any(frozen.snapshot.kind == Snapshot.Kind.TEXT for ancestor in ancestors for frozen in ancestor.data):
        yield "Pretraining text was mixed in; what it says of people was not looked through."
    yield "Judgements are one group's, by one set of guidelines: what they prefer need not be true, fair or safe."


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(text: str) -> str:
    """Text of people's within Markdown: on one line, and nothing of it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$!])", r"\\\1", " ".join(text.split()))
