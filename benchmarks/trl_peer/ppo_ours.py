"""Podium's PPO stage as it is, measured from outside by its own metrics and the process's memory.

python benchmarks/trl_peer/ppo_ours.py CONFIG.json RUN_DIR RESULT.json
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from training import ppo
from training.cli import run_stage
from training.contract.rundir import RunDir

PARTS = ("generate", "score", "learn")


def main(config: str, folder: str, out: str) -> int:
    memory: list[float] = []
    load = ppo._load_models

    def weighed(*args: Any, **named: Any) -> Any:
        loaded = load(*args, **named)
        memory.append(_peak_mib())
        return loaded

    ppo._load_models = weighed
    code = run_stage("ppo", ppo.main, ["--config", config, "--run-dir", folder])
    rows, _ = RunDir(Path(folder)).read_metrics(0)
    steps = [row.values for row in rows if "perf/step_s" in row.values]
    result = {
        "seconds": [step["perf/step_s"] for step in steps],
        "rows": [{"kl": step["ppo/kl"], "reward": step["ppo/reward"]} for step in steps],
        "spent": {part: sum(step[f"perf/{part}_s"] for step in steps[1:]) for part in PARTS},
        "rss_before": memory[0],
        "rss_peak": _peak_mib(),
        "gpu_peak": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
    }
    Path(out).write_text(json.dumps(result))
    return code


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:4]))
