"""What was not measured yet, and the form that measures it, filled in as far as it can be."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from labeling.models import EvaluationFile, Model, Project, Snapshot
from labeling.services.panels.drawn import Missing
from labeling.services.panels.evaluations import DATA, PPO, PTX, SFT, Comparable, kind_of

NAMES: Final = {
    "text": "public text",
    "policy": "prompts",
    "truthfulqa": "TruthfulQA",
    "harmful": "harmful prompts",
    "paraphrases": "paraphrased prompts",
}
#: Of data that comes as a file: what the file is.
FILES: Final = {
    "truthfulqa": "the CSV of its authors",
    "harmful": "a CSV or JSON lines with a “prompt” each",
    "paraphrases": "a CSV or JSON lines with “prompt” and “paraphrase”",
}
NEWEST: Final = 100


@dataclass(frozen=True)
class Available:
    """The newest policy of each kind that is not retired, the one to measure first, and the newest reward model."""

    by_kind: dict[str, Model]
    first: Model | None
    reward: Model | None


def available(project: Project) -> Available:
    models = Model.objects.filter(project=project, is_retired=False).select_related("run").defer("run__result")
    policies = list(models.filter(kind=Model.Kind.POLICY).order_by("-pk")[:NEWEST])
    by_kind: dict[str, Model] = {}
    for model in policies:
        by_kind.setdefault(kind_of(model), model)
    current = next((model for model in policies if model.is_current), None)
    return Available(
        by_kind=by_kind,
        first=current or (policies[0] if policies else None),
        reward=models.filter(kind=Model.Kind.REWARD).order_by("-pk").first(),
    )


def lacking(project: Project, found: Comparable, models: Available) -> list[Missing]:
    if models.first is None:
        return [Missing("No policy was trained.", "Train one", "run_new_stage", ("sft",))]
    if found.newest is None:
        return [_first(project, found.part, models)]
    measured = {one.policy.name for one in found.measured}
    unmeasured = [(kind, models.by_kind[kind]) for kind in (SFT, PPO, PTX) if kind in models.by_kind]
    return [_another(found, kind, model) for kind, model in unmeasured if model.name not in measured]


def with_and_without_ptx(models: Available) -> list[Missing]:
    """What is not there cannot be compared: the same PPO run with or without pretraining gradients."""
    with_ptx, without = models.by_kind.get(PTX), models.by_kind.get(PPO)
    if with_ptx and not without:
        why = "No PPO without pretraining gradients (ptx) was trained, so nothing shows what they save."
        return [_again(with_ptx, why, "Train the same without ptx", "0")]
    if without and not with_ptx:
        why = "No PPO with pretraining gradients (ptx) was trained, so nothing shows what they would save."
        return [_again(without, why, "Train the same with ptx", "27.8")]
    return []


def _again(model: Model, why: str, label: str, ptx_coef: str) -> Missing:
    query = {"from": str(model.run.uid) if model.run else "", "ptx_coef": ptx_coef}
    return Missing(why, label, "run_new_stage", ("ppo",), query)


def _another(found: Comparable, kind: str, model: Model) -> Missing:
    assert found.newest is not None  # noqa: S101 - there is one that was measured
    query = {"from": str(found.newest.uid), "model": str(model.uid)}
    why = f"{model.name}, the newest {kind} model, was not measured like this."
    return Missing(why, f"Evaluate {model.name}", "run_new_stage", ("evaluate",), query)


def _first(project: Project, part: str, models: Available) -> Missing:
    """The form with the model, what it came from, and the newest data; or the page on which data is made."""
    name, field, data = NAMES[part], DATA[part], _newest_data(project, part)
    why = f"No policy was measured on {name}."
    if data is None and part not in FILES:
        kind = "text" if part == "text" else "prompts"
        return Missing(f"{why} That takes a snapshot.", f"Freeze {name}", "snapshot_new", query={"kind": kind})
    model, sft = models.first, models.by_kind.get(SFT)
    assert model is not None  # noqa: S101 - the caller has seen it
    rows: Iterable[tuple[str, Any]] = [
        ("model", model),
        ("reference_model", sft if sft and sft.pk != model.pk else None),
        ("reward_model", models.reward if part in ("policy", "paraphrases") else None),
        (field, data),
    ]
    query = {key: str(row.uid) for key, row in rows if row}
    if data is None:
        why += f" Bring {FILES[part]} on the next page."
    return Missing(why, f"Evaluate {model.name} on {name}", "run_new_stage", ("evaluate",), query)


def _newest_data(project: Project, part: str) -> Snapshot | EvaluationFile | None:
    if part in FILES:
        return EvaluationFile.objects.filter(project=project, kind=DATA[part]).order_by("-pk").first()
    kind = Snapshot.Kind.TEXT if part == "text" else Snapshot.Kind.PROMPTS
    return Snapshot.objects.filter(project=project, kind=kind, state=Snapshot.State.READY).order_by("-pk").first()
