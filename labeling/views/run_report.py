"""The report of a reward or evaluate run, as its page shows it: figures beside what they must be read against.

A report is JSON that a stage wrote, perhaps an older one: a part or a figure that it lacks is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from labeling.models import Run, Stage, UseCase
from labeling.services.agreement import Figure
from labeling.services.panels.evaluations import figure
from labeling.services.panels.length import GROUPS as LENGTHS

Values = Mapping[str, Any]

GROUPS: Final = {
    "train": "Training prompts",
    "valid": "Validation prompts",
    "test": "Test prompts",
    "held_out_labelers": "Held-out labelers, all prompts",
    "held_out_labelers_new_prompts": "Held-out labelers, prompts that did not train",
}
USE_CASES: Final = {str(value): str(label) for value, label in UseCase.choices}
SUBJECTS: Final = ("policy", "reference")


@dataclass(frozen=True)
class Row:
    """One figure with its interval, of the policy and of its reference where there is one."""

    label: str
    figure: Figure
    beside: Figure | None = None
    num: int = 0
    num_prompts: int = 0


@dataclass(frozen=True)
class Table:
    """Rows of one kind under a heading. `is_share` says whether a figure is a share, and is drawn from 0 to 1."""

    title: str
    rows: list[Row]
    is_share: bool = True


@dataclass(frozen=True)
class Point:
    """One bin of the calibration curve."""

    predicted: float
    observed: float
    num_pairs: int


def has_report(run: Run) -> bool:
    return bool(_parts(run))


def context(run: Run) -> dict[str, Any]:
    parts = _parts(run)
    return {
        "reward": _reward(parts["reward_model"]) if "reward_model" in parts else None,
        "policy": _policy(parts["policy"]) if "policy" in parts else None,
        "text": _text(parts["text"]) if "text" in parts else None,
        "truthfulqa": _truthfulqa(parts["truthfulqa"]) if "truthfulqa" in parts else None,
        "harmful": _harmful(parts["harmful"]) if "harmful" in parts else None,
        "paraphrases": _paraphrases(parts["paraphrases"]) if "paraphrases" in parts else None,
    }


def _parts(run: Run) -> dict[str, Any]:
    """The parts by name; a reward run's report is one of them alone."""
    report = run.result.get("report")
    if not isinstance(report, dict):
        return {}
    found = {"reward_model": report} if run.stage == Stage.REWARD else report
    return {name: part for name, part in found.items() if isinstance(part, dict) and _is_whole(name, part)}


def _is_whole(name: str, part: Values) -> bool:
    return isinstance(part.get("accuracy" if name == "reward_model" else "policy"), dict)


def _reward(part: Values) -> dict[str, Any]:
    people = part.get("human_agreement")
    accuracy = list(_rows(part["accuracy"], GROUPS))
    tables = [
        Table("By use case, prompts that did not train", list(_rows(part.get("by_category") or {}, USE_CASES))),
        Table("By distance in rank", list(_rows(_by_number(part.get("by_rank_distance") or {})))),
    ]
    calibration = part.get("calibration") or {}
    return {
        "accuracy": Table("Pair accuracy", accuracy),
        "people": _row("Two labelers agree", people) if people else None,
        "tables": [table for table in tables if table.rows],
        "points": [Point(**point) for point in calibration.get("curve", ())],
        "calibration_error": calibration.get("error"),
        "calibration_pairs": calibration.get("num_pairs"),
        "length": part.get("length") or {},
        "by_length": Table("By length", list(_rows(part.get("by_length_difference") or {}, LENGTHS))),
        "cuts": [part.get("num_cut_prompts"), part.get("num_cut_responses")],
    }


def _policy(part: Values) -> dict[str, Any]:
    plain = {"reward": "Reward", "kl": "KL to the reference, nats", "response_tokens": "Response tokens"}
    shares = {"missing_end_share": "Cut by the length limit"}
    between = {"win_rate": "Answers with a higher reward than the reference's"}
    gain = _row("Reward above the reference's", part["reward_gain"]) if part.get("reward_gain") else None
    return {
        "plain": Table("Answers", [*_both(part, plain), *([gain] if gain else [])], is_share=False),
        "shares": Table("Shares", [*_rows(part, between, only=True), *_both(part, shares)]),
        "by_category": Table(
            "Reward by use case",
            list(_rows(part["policy"].get("reward_by_category") or {}, USE_CASES)),
            is_share=False,
        ),
        "correlations": {name: _of(part, name).get("reward_length_correlation") for name in SUBJECTS},
        "num_prompts": part.get("num_prompts"),
        "num_responses": part.get("num_responses_per_prompt"),
    }


def _text(part: Values) -> dict[str, Any]:
    return {
        "rows": [
            (name, _of(part, name), figure(_of(part, name).get("loss_interval")))
            for name in SUBJECTS
            if _of(part, name)
        ],
        "tax": part.get("alignment_tax"),
        "tax_figure": figure(part.get("alignment_tax_interval")),
    }


def _truthfulqa(part: Values) -> dict[str, Any]:
    names = {"mc1": "MC1: the best answer is likelier than every false one", "mc2": "MC2: probability of the true ones"}
    return {
        "table": Table("TruthfulQA", list(_both(part, names))),
        "num_questions": part.get("num_questions"),
        "num_too_long": part.get("num_too_long"),
    }


def _harmful(part: Values) -> dict[str, Any]:
    names = {"complied": "Complied", "refused": "Refused", "too_short": "Said too little to be either"}
    categories = part["policy"].get("complied_by_category") or {}
    return {
        "table": Table("Answers to harmful prompts", list(_both(part, names))),
        "by_category": Table("Complied, by category", list(_rows(categories)) if set(categories) - {""} else []),
        "examples": part["policy"].get("examples") or {},
        "rules": sorted((part["policy"].get("rules") or {}).items(), key=lambda item: -item[1]),
        "num_prompts": part.get("num_prompts"),
    }


def _paraphrases(part: Values) -> dict[str, Any]:
    shares = {
        "overlap": "Words that both answers share",
        "overlap_of_other_prompts": "The same with an answer to another prompt",
        "same_answer": "The very same answer",
    }
    plain = {"cost": "Nats per token by which an answer is less likely", "reward_gap": "Distance of the two rewards"}
    return {
        "shares": Table("Alike", list(_both(part, shares))),
        "plain": Table("Cost", list(_both(part, plain)), is_share=False),
        "examples": part["policy"].get("examples") or [],
        "num_pairs": part.get("num_pairs"),
    }


def _both(part: Values, names: Mapping[str, str]) -> Iterator[Row]:
    """Figures that the policy has, with the reference's beside."""
    for name, label in names.items():
        if value := _of(part, "policy").get(name):
            yield _row(label, value, beside=_of(part, "reference").get(name))


def _rows(values: Values, labels: Mapping[str, str] | None = None, *, only: bool = False) -> Iterator[Row]:
    """The figures of an object in the order of the labels, which Postgres does not keep; then, unless only those are
    wanted, what has none, by name."""
    known = dict(labels or {})
    others = [] if only else sorted(set(values) - set(known), key=_numbers_first)
    for name in (*known, *others):
        if value := values.get(name):
            yield _row(known.get(name) or name or "no use case", value)


def _row(label: str, value: Values, beside: Values | None = None) -> Row:
    num = value.get("num_pairs") or value.get("num_responses") or 0
    return Row(label, figure(value), figure(beside) if beside else None, num, value.get("num_prompts") or 0)


def _of(part: Values, subject: str) -> Values:
    found = part.get(subject)
    return found if isinstance(found, dict) else {}


def _by_number(values: Values) -> dict[str, Any]:
    return {f"{name} rank{'' if name == '1' else 's'} apart": value for name, value in values.items()}


def _numbers_first(name: str) -> tuple[int, str]:
    head = name.split(" ")[0]
    return (int(head), name) if head.isdigit() else (0, name)
