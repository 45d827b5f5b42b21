"""Panels 5, 6 and 7: whether policies' answers are true, harmless, and the same however one asks."""

from dataclasses import dataclass
from typing import Final

from labeling.models import Project
from labeling.models.projects import DEFAULT_FLAGS
from labeling.services import by_model, kept
from labeling.services.agreement import Scope
from labeling.services.panels import paper, words
from labeling.services.panels.drawn import Chart, Line, Missing, Panel, Source
from labeling.services.panels.evaluations import PPO, PTX, SFT, Comparable, Measured, age, figure

MOST_MODELS: Final = 6
MADE_UP: Final = "Hallucination"
#: The project's flags that say of no harm.
HARMLESS: Final = {
    MADE_UP,
    "Fails to follow the instruction or task",
    "Satisfies the constraint given in the instruction",
    "Expresses opinion",
    "Expresses moral judgment",
}
COST: Final = "by which the same answer is less likely after the paraphrase"
BY_MODEL_PAGE: Final = Source("By model", "by_model")


@dataclass(frozen=True)
class Flags:
    """What labelers flagged, by model; or why nothing is known of it."""

    report: by_model.Report | None
    missing: list[Missing]


def flags_of(project: Project) -> Flags:
    found: by_model.Report | None = kept.get("by_model", project, Scope())
    if found is None:
        return Flags(None, [Missing("Flags are being counted. Look again in a minute.", "By model", "by_model")])
    if not found.num_rankings:
        return Flags(None, [Missing("No labeler has ranked yet, so nothing is flagged.", "See tasks", "tasks")])
    return Flags(found, [])


def truthfulness(flags: Flags, found: Comparable, missing: list[Missing]) -> Panel:
    charts = [
        Chart("MC1", found.lines("mc1"), hint=f"the best answer is likelier than every false one; {_questions(found)}"),
        Chart("MC2", found.lines("mc2"), hint="probability of the true answers among all"),
        *_flag_charts(flags.report, [MADE_UP]),
    ]
    return Panel(
        key="truth",
        title="Truthfulness",
        question="Do the policies know what is true, and do labelers catch them making things up?",
        says=_compared(found, "mc2", "puts {} of its probability on true answers to TruthfulQA (MC2)"),
        charts=charts,
        paper=paper.TRUTH,
        caveats=[
            *found.caveats(),
            "Podium measures multiple choice (MC1, MC2); the paper has answers written and judged. Compare directions,"
            " not numbers.",
        ],
        missing=missing + flags.missing,
    ).drawn()


def harmlessness(flags: Flags, found: Comparable, missing: list[Missing]) -> Panel:
    harms = [flag for flag in (flags.report.flags if flags.report else []) if flag not in HARMLESS]
    charts = [
        Chart("Complied with harmful prompts", found.lines("complied"), hint=f"less is better; {_prompts(found)}"),
        Chart("Refused", found.lines("refused"), hint="by rules that the run's report lists"),
        *_flag_charts(flags.report, harms),
    ]
    return Panel(
        key="harm",
        title="Harmlessness",
        question="Do the policies do harm when asked to, and what did labelers flag?",
        says=_compared(found, "complied", "complies with {} of the harmful prompts") + _flagged(flags.report, harms),
        charts=charts,
        paper=paper.HARM,
        caveats=[
            *found.caveats(),
            "Compliance is judged by rules that read English words, not meaning: the run's report has examples.",
            "The paper scores toxicity with a service (figure 7, table 14); Podium asks no service.",
        ],
        missing=missing + flags.missing,
    ).drawn()


def instructions(found: Comparable, missing: list[Missing]) -> Panel:
    charts = [
        Chart("Words shared by both answers", found.lines("overlap"), hint=_pairs(found), mark=_chance(found)),
        Chart("The very same answer", found.lines("same_answer"), hint="to a prompt and to its paraphrase"),
        Chart("What a paraphrase costs", found.lines("cost"), unit="nats", hint=COST, mark=0.0),
        Chart("Distance of the two rewards", found.lines("reward_gap"), unit="number", hint="less is better"),
    ]
    return Panel(
        key="instructions",
        title="Instruction sensitivity",
        question="Does the wording decide the answer, or the question?",
        says=_compared(found, "overlap", "shares {} of its words between the answers to a prompt and its paraphrase"),
        charts=charts,
        paper=paper.INSTRUCTIONS,
        caveats=[
            *found.caveats(),
            "The dashed line is what answers to two different prompts share, by chance.",
            "The paper varies the instruction before a question (figure 6, table 14); Podium rewords the question.",
        ],
        missing=missing,
    ).drawn()


def _compared(found: Comparable, name: str, does: str) -> list[str]:
    """The newest policy beside SFT, or what stands alone."""
    trained = [one for one in (found.of_kind(PTX), found.of_kind(PPO)) if one]
    best = max(trained, key=age) if trained else next(iter(found.measured), None)
    if best is None or figure(best.values.get(name)).value is None:
        return []
    ours = figure(best.values.get(name))
    said = [f"{best.policy.label} {does.format(words.share(ours))}."]
    sft = found.of_kind(SFT)
    if sft and sft is not best and (before := figure(sft.values.get(name))).value is not None:
        said.append(f"{sft.policy.label}: {words.share(before)}. {words.how_sure(ours, before)}")
    return said


def _flag_charts(report: by_model.Report | None, flags: list[str]) -> list[Chart]:
    """The models with most judged responses, in the order of the page that they come from."""
    if report is None:
        return []
    most = sorted(report.models, key=lambda one: -one.num_judged)[:MOST_MODELS]
    shown = [one for one in report.models if one in most]
    return [
        Chart(
            f"Flagged: {flag}",
            [Line(one.name, one.flags[flag], BY_MODEL_PAGE, note=f"{one.num_judged:,} judged") for one in shown],
            hint="share of the judged responses",
        )
        for flag in flags
        if flag in report.flags
    ]


def _flagged(report: by_model.Report | None, harms: list[str]) -> list[str]:
    if report is None:
        return []
    if not harms:
        what = "ranking" if report.num_rankings == 1 else "rankings"
        return [f"In {report.num_rankings:,} {what} nobody flagged a harm."]
    return [f"Labelers flagged: {words.listed([flag.lower() if flag in DEFAULT_FLAGS else flag for flag in harms])}."]


def _questions(found: Comparable) -> str:
    return _count(found, "num_questions", "questions")


def _prompts(found: Comparable) -> str:
    return _count(found, "num_prompts", "prompts")


def _pairs(found: Comparable) -> str:
    return _count(found, "num_pairs", "pairs")


def _count(found: Comparable, name: str, what: str) -> str:
    num = found.measured[0].part.get(name) if found.measured else None
    return f"{num:,} {what} of {found.data}" if num and found.data else what


def _chance(found: Comparable) -> float | None:
    """Of the first that is drawn: it differs little between policies, and the run's report has each."""
    shared: list[Measured] = [one for one in found.measured if one.values.get("overlap_of_other_prompts")]
    return figure(shared[0].values["overlap_of_other_prompts"]).value if shared else None
