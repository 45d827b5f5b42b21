"""A stage without a model: it keeps the contract of the run directory, and misbehaves as `fake.json` beside it says.

Started as `fake_stage.py -m training.STAGE --config FILE --run-dir DIR`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.labeling.runs import fake_talk
from training.contract.rundir import RunDir, Status, write_bytes, write_json

DEFAULTS = {"steps": 6, "step_s": 0.0, "checkpoint_every": 2}
asked_to_stop = False


def main() -> int:
    stage = sys.argv[2].removeprefix("training.")
    run_dir = RunDir(sys.argv[6])
    plan = DEFAULTS | (json.loads((run_dir.path.parent / "fake.json").read_text()))
    signal.signal(signal.SIGTERM, ask_to_stop if not plan.get("deaf") else signal.SIG_IGN)
    write_json(run_dir.path / "environment.json", dict(os.environ))
    (run_dir.path / "cwd").write_text(os.getcwd())
    print(f"fake {stage} begins", flush=True)  # noqa: T201
    if plan.get("with_child"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        (run_dir.path / "child").write_text(str(child.pid))
    if "exit" in plan:
        return int(plan["exit"])
    if stage == "talk":
        return fake_talk.answer_all(run_dir, plan, lambda: asked_to_stop)
    first = resume(run_dir)
    for step in range(first, plan["steps"] + 1):
        once = run_dir.path / f"died-{step}"
        if plan.get("die_at") == step and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if plan.get("always_die_at") == step:
            os.kill(os.getpid(), signal.SIGKILL)
        if plan.get("fail_at") == step:
            status(run_dir, plan, step, "failed", {"type": "NonFiniteError", "message": "the loss is not finite"})
            return 1
        run_dir.append_metrics(step, {"fake/loss": 1.0 / step})
        run_dir.append_usage({"system/cpu_percent": 50.0 + step})
        print(f"step {step}", flush=True)  # noqa: T201
        stops = asked_to_stop  # read once: asked a moment later, it has not yet written a checkpoint for that
        if stops or step % plan["checkpoint_every"] == 0:
            write_bytes(run_dir.checkpoints / "step", str(step).encode())
        status(run_dir, plan, step, "cancelled" if stops else "running")
        if stops:
            return 3
        time.sleep(plan["step_s"])
    write_outputs(run_dir, stage)
    status(run_dir, plan, plan["steps"], "succeeded")
    summary = {"fake/accuracy": 0.75, "num_parameters": 7} | plan.get("summary", {})
    run_dir.write_manifest(stage=stage, summary=summary, inputs={})
    if plan.get("spoil"):
        (run_dir.outputs / "model" / "model.safetensors").write_bytes(b"spoilt")
    return 0


def resume(run_dir: RunDir) -> int:
    checkpoint = run_dir.checkpoints / "step"
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    run_dir.truncate_metrics(step)
    return step + 1


def write_outputs(run_dir: RunDir, stage: str) -> None:
    if stage == "generate":
        lines = (run_dir.path.parent / "responses.jsonl").read_text()
        (run_dir.outputs / "responses.jsonl").write_text(lines)
        return
    scores = run_dir.path.parent / "scores.jsonl"
    if scores.exists():
        (run_dir.outputs / "scores.jsonl").write_text(scores.read_text())
    if stage == "score":
        return
    model = run_dir.outputs / "model"
    model.mkdir(exist_ok=True)
    (model / "model.safetensors").write_bytes(f"weights of {run_dir.path.name}".encode())
    (model / "config.json").write_text("{}")
    write_json(run_dir.outputs / "report.json", {"accuracy": 0.75})


def status(run_dir: RunDir, plan: dict, step: int, state: str, error: dict | None = None) -> None:
    run_dir.write_status(
        Status(
            state=state,
            phase="fake",
            step=step,
            num_steps=plan["steps"],
            started_at=1.0,
            updated_at=time.time(),
            eta_s=0.5,
            error=error,
        )
    )


def ask_to_stop(*_: object) -> None:
    global asked_to_stop  # noqa: PLW0603
    asked_to_stop = True


if __name__ == "__main__":
    raise SystemExit(main())
