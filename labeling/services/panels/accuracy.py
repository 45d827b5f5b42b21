"""Panel 2: how often a reward model orders two responses as people did, beside how often people agree."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from labeling.models import Model, Project, Run, Stage
from labeling.services import kept
from labeling.services.agreement import Agreement, Figure, Scope
from labeling.services.agreement.by_group import ByGroup
from labeling.services.panels import paper, words
from labeling.services.panels.drawn import Chart, Line, Missing, Panel, Source
from labeling.services.panels.evaluations import figure, source_of

MOST_MODELS: Final = 8
AGREEMENT_PAGE: Final = Source("Agreement", "agreement")
ABOUT: Final[dict[str, Any]] = {
    "key": "reward",
    "title": "Reward model against agreement",
    "question": "Is the reward model as right about people as people are about each other?",
}
GROUPS: Final = {
    "train": ("Labelers that trained, training prompts", None),
    "valid": ("Labelers that trained, held-out prompts", paper.TRAINING_LABELERS),
    "test": ("Labelers that trained, test prompts", None),
    "held_out_labelers": ("Held-out labelers, all prompts", paper.HELD_OUT_LABELERS),
    "held_out_labelers_new_prompts": ("Held-out labelers, held-out prompts", None),
}


@dataclass(frozen=True)
class Judge:
    """A reward model with the report of the run that measured it."""

    model: Model
    run: Run
    report: Mapping[str, Any]

    def accuracy(self, group: str) -> Figure:
        return figure((self.report.get("accuracy") or {}).get(group))


def judges(project: Project, evaluations: Iterable[Run]) -> list[Judge]:
    """The newest reward models, newest first, by the report of their own training; of one from elsewhere, by its newest
    evaluation. Those that nothing measured are left out."""
    models = Model.objects.filter(project=project, kind=Model.Kind.REWARD).select_related("run").order_by("-pk")
    found = [(model, _report(model, evaluations)) for model in models[:MOST_MODELS]]
    return [Judge(model, run, report) for model, (run, report) in found if run and report]


def panel(project: Project, found: list[Judge]) -> Panel:
    people: ByGroup | None = kept.get("agreement_by_group", project, Scope())
    ceilings = _ceilings(people, found[0] if found else None)
    caveats = [
        "The paper's accuracies are of five-fold cross-validation over groups of labelers; here held-out labelers are"
        " people whose rankings never train.",
        "No model can be right more often than people agree for long: the dashed line.",
    ]
    charts = [Chart("People", ceilings, hint="how often two labelers order two responses alike", mark=0.5)]
    if found:
        charts = [_newest(found[0], ceilings), _in_time(found, _ceiling(ceilings))]
    says = _says(found, ceilings)
    return Panel(**ABOUT, says=says, charts=charts, caveats=caveats, missing=_missing(found, people)).drawn()


def _report(model: Model, evaluations: Iterable[Run]) -> tuple[Run | None, Mapping[str, Any] | None]:
    if model.run and model.run.stage == Stage.REWARD:
        return model.run, _whole(model.run.result.get("report"))
    for run in evaluations:
        is_its = any(item.name == "reward_model" and item.model_id == model.pk for item in run.inputs.all())
        if is_its and (found := _whole((run.result.get("report") or {}).get("reward_model"))):
            return run, found
    return None, None


def _whole(report: Any) -> Mapping[str, Any] | None:
    return report if isinstance(report, Mapping) and isinstance(report.get("accuracy"), Mapping) else None


def _newest(judge: Judge, ceilings: list[Line]) -> Chart:
    source = source_of(judge.run)
    lines = [
        Line(label, judge.accuracy(group), source, printed)
        for group, (label, printed) in GROUPS.items()
        if judge.accuracy(group).value is not None
    ]
    hint = "pairs of responses put in people's order; below, how often two people agree"
    return Chart(f"The newest: {judge.model.name}", lines + ceilings, hint=hint, mark=_ceiling(ceilings))


def _in_time(found: list[Judge], mark: float | None) -> Chart:
    lines = [
        Line(
            judge.model.name, judge.accuracy("valid"), source_of(judge.run), note=f"{judge.model.created_at:%-d %b %Y}"
        )
        for judge in found
        if judge.accuracy("valid").value is not None
    ]
    hint = "labelers that trained, held-out prompts; newest first. Each is measured on its own snapshot"
    return Chart("Reward models in time", lines if len(lines) > 1 else [], hint=hint, mark=mark)


def _ceilings(people: ByGroup | None, newest: Judge | None) -> list[Line]:
    lines = []
    if newest and (same := figure(newest.report.get("human_agreement"))).value is not None:
        lines.append(Line("Two labelers agree, on the same rankings", same, source_of(newest.run)))
    if people:
        lines += [
            Line(
                "Two training labelers agree, all rankings", _figure(people.training), AGREEMENT_PAGE, paper.AGREEMENT
            ),
            Line("Two held-out labelers agree", _figure(people.held_out), AGREEMENT_PAGE, paper.HELD_OUT_AGREEMENT),
        ]
    return [line for line in lines if line.figure.value is not None]


def _ceiling(ceilings: list[Line]) -> float | None:
    """The first is of the very rankings that the newest was measured on, where that is known."""
    return ceilings[0].figure.value if ceilings else None


def _figure(found: Agreement) -> Figure:
    return Figure(found.share, found.low, found.high, found.num_comparisons, found.num_tasks, found.why_not)


def _says(found: list[Judge], ceilings: list[Line]) -> list[str]:
    if not found:
        return [f"{ceilings[0].label}: {words.share(ceilings[0].figure)}."] if ceilings else []
    judge, said = found[0], []
    seen, unseen = judge.accuracy("valid"), judge.accuracy("held_out_labelers")
    if seen.value is not None:
        said.append(f"{judge.model.name} puts {words.share(seen)} of the pairs of held-out prompts in people's order.")
    if ceilings and seen.value is not None and (people := ceilings[0].figure).value is not None:
        points = 100 * (seen.value - people.value)
        side = "below" if points < 0 else "above"
        said.append(
            f"Two people agree on {words.share(people)}: it is {abs(points):.1f} points {side} them."
            f" {words.how_sure(seen, people)}"
        )
    if seen.value is not None and unseen.value is not None:
        lost = 100 * (seen.value - unseen.value)
        more = "fewer" if lost >= 0 else "more"
        said.append(
            f"Of labelers who never trained it, {words.share(unseen)}: {abs(lost):.1f} points {more}"
            " (InstructGPT: 2.8 fewer)."
        )
    return said


def _missing(found: list[Judge], people: ByGroup | None) -> list[Missing]:
    missing = []
    if not found:
        missing.append(Missing("No reward model was trained.", "Train one", "run_new_stage", ("reward",)))
    elif found[0].accuracy("held_out_labelers").value is None:
        why = "No held-out labeler's rankings measured it. Mark some people as held out: they rank, and never train."
        missing.append(Missing(why, "Choose people", "people"))
    if people is None:
        missing.append(Missing("Agreement is being counted. Look again in a minute.", "Agreement", "agreement"))
    elif people.training.share is None:
        why = f"People's agreement is not known: {people.training.why_not}. Let two people or more rank some tasks."
        missing.append(Missing(why, "See tasks", "tasks"))
    return missing
