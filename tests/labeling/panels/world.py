"""Models, evaluations and what they read, as rows."""

from collections.abc import Mapping
from typing import Any

from labeling.models import EvaluationFile, Model, Project, Run, RunFile, RunInput, Snapshot
from tests.labeling.runs import reports

ENDED = {"state": "succeeded", "started_at": "2026-01-01T00:00Z", "finished_at": "2026-01-02T00:00Z"}
KINDS = {"sft": "policy", "ppo": "policy", "reward": "reward"}


def interval(value: float, half: float = 0.05, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "num_prompts": 30, **more}


def model(project: Project, name: str, stage: str, config: Mapping[str, Any], **result: Any) -> Model:
    run = Run.objects.create(
        project=project, stage=stage, name=f"run of {name}", config=dict(config), result=result,
        idempotency_key=f"{stage} {name}", **ENDED,
    )  # fmt: skip
    return Model.objects.create(project=project, name=name, kind=KINDS[stage], run=run, storage_key=name)


def reward_model(project: Project, name: str, **accuracy: Any) -> Model:
    """A reward run's report with these accuracies, a human agreement of 70 %, and what it has on length."""
    report = {
        "accuracy": {"train": None, "valid": None, "test": None, "held_out_labelers": None} | accuracy,
        "human_agreement": interval(0.7, 0.02, num_pairs=100),
        "by_length_difference": {"shorter": interval(0.55, num_pairs=12), "longer": interval(0.8, num_pairs=18)},
        "length": {"correlation_within_prompts": 0.42, "correlation": 0.3, "num_responses": 90},
    }
    return model(project, name, "reward", {}, report=report)


def text(project: Project, name: str = "wiki", kind: str = "text") -> Snapshot:
    number = Snapshot.objects.count()
    return Snapshot.objects.create(
        project=project, name=name, kind=kind, state="ready", sha256=f"{number:064d}", num_rows=9,
        storage_key=f"s/{number}", finished_at="2026-01-01T00:00Z",
    )  # fmt: skip


def file(project: Project, kind: str, name: str) -> EvaluationFile:
    number = EvaluationFile.objects.count()
    return EvaluationFile.objects.create(
        project=project, kind=kind, filename=name, sha256=f"{number:064d}", num_rows=9, storage_key=name
    )


def evaluation(
    project: Project, report: Any, config: Mapping[str, Any], inputs: Mapping[str, Any], **state: str
) -> Run:
    number = Run.objects.filter(stage="evaluate").count() + 1
    run = Run.objects.create(
        project=project, stage="evaluate", name=f"evaluate-{number}", config=dict(config),
        result={"report": report}, idempotency_key=f"evaluate {number}", **(ENDED | state),
    )  # fmt: skip
    for name, row in inputs.items():
        if isinstance(row, EvaluationFile):
            RunFile.objects.create(run=run, name=name, file=row)
        else:
            RunInput.objects.create(run=run, name=name, **{type(row).__name__.lower(): row})
    return run


def full(project: Project) -> None:
    """Two reward models, and policies of each kind measured in everything, as the engine's reports have it."""
    for name, size in (("reward-1", 24), ("reward-2", 40)):
        model(project, name, "reward", {}, report=reports.of_reward_model(num_prompts=size))
    sft = model(project, "sft-1", "sft", {})
    data: dict[str, Any] = {"text": text(project, "Public text"), "prompts": text(project, "Asked", kind="prompts")}
    for kind, name in (("truthfulqa", "TruthfulQA.csv"), ("harmful_prompts", "harm.csv"), ("paraphrases", "pairs.csv")):
        data[kind] = file(project, kind, name)
    for name, coefficient in (("ppo-1", 0.0), ("ppo-ptx-1", 27.8)):
        policy = model(project, name, "ppo", {"ptx_coef": coefficient})
        evaluation(project, _report(coefficient), {}, {"model": policy, "reference_model": sft, **data})


def _report(coefficient: float) -> dict[str, Any]:
    loss = 2.31 if coefficient else 2.62
    measured = {"loss": loss, "loss_interval": interval(loss, 0.06), "bits_per_byte": loss / 2}
    before = {"loss": 2.25, "loss_interval": interval(2.25, 0.05), "bits_per_byte": 1.1}
    tax = {"alignment_tax": loss - 2.25, "alignment_tax_interval": interval(loss - 2.25, 0.03)}
    return reports.EVALUATION | {"text": {"policy": measured, "reference": before, **tax}}
