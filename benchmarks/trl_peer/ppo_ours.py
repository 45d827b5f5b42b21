"""Podium's PPO stage as it is, measured from outside: its functions are watched, not changed.

python benchmarks/trl_peer/ppo_ours.py CONFIG.json RUN_DIR RESULT.json
"""

import json
import sys
from pathlib import Path
from typing import Any

import resident
from stopwatch import Stopwatch

from training import ppo
from training.cli import run_stage
from training.contract.rundir import RunDir
from training.engine import experience, learner, ppo_iteration, runlog


def main(config: str, folder: str, out: str) -> int:
    watch, held = Stopwatch(), [0.0]
    plan, metrics, judge = runlog.RunLog.plan, runlog.RunLog.metrics, experience.judge

    def planned(*args: Any) -> None:
        plan(*args)
        held[0] = resident.settle()
        watch.start()

    def logged(*args: Any) -> None:
        metrics(*args)
        watch.stop()

    def judged(models: Any, episodes: Any, *args: Any, **named: Any) -> Any:
        watch.count(int(episodes.attention_mask_BT.sum()))
        return judge(models, episodes, *args, **named)

    runlog.RunLog.plan, runlog.RunLog.metrics = planned, logged  # type: ignore[method-assign]
    experience.judge = judged
    ppo_iteration.sample = watch.watch(ppo_iteration.sample, "generate")
    for name in ("judge", "padding_difference", "experience"):
        setattr(experience, name, watch.watch(getattr(experience, name), "score"))
    learner.Learner.learn = watch.watch(learner.Learner.learn, "learn")  # type: ignore[method-assign]
    code = run_stage("ppo", ppo.main, ["--config", config, "--run-dir", folder])
    peak = resident.peak()
    rows, _ = RunDir(Path(folder)).read_metrics(0)
    steps = [row.values for row in rows if "ppo/kl" in row.values]
    result = watch.found() | {
        "rows": [{"kl": step["ppo/kl"], "reward": step["ppo/reward"]} for step in steps],
        "held": held[0],
        "peak": peak,
    }
    Path(out).write_text(json.dumps(result))
    return code


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:4]))
