"""Podium's reward stage as it is, measured: a clock at the end of each optimiser step, where TRL's callback stands too.

python benchmarks/trl_peer/reward_ours.py CONFIG.json RUN_DIR RESULT.json
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training import reward
from training.cli import run_stage
from training.contract.rundir import RunDir, read_json
from trl_peer import resident


def main(config: str, folder: str, out: str) -> int:
    times: list[tuple[float, float]] = []
    memory: list[float] = []

    def clocked(learn: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            if not memory:
                memory.append(resident.settle())
            values = learn(*args, **named)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append((time.perf_counter(), time.process_time()))
            memory[1:] = [resident.peak()]
            return values

        return step

    reward.learn = clocked(reward.learn)
    code = run_stage("reward", reward.main, ["--config", config, "--run-dir", folder])
    run_dir = RunDir(Path(folder))
    rows, _ = run_dir.read_metrics(0)
    report = read_json(run_dir.outputs / "report.json") or {}
    result = {
        "times": times,
        "losses": [row.values["reward/loss"] for row in rows if "reward/loss" in row.values],
        "rss_before": memory[0],
        "rss_peak": memory[1],
        "gpu_peak": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        "accuracy": (report.get("accuracy", {}).get("valid") or {}).get("value"),
        "threads": torch.get_num_threads(),
    }
    Path(out).write_text(json.dumps(result))
    return code


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:4]))
