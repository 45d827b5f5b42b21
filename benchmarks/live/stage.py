"""A stage without a model: it logs at an even pace, into the same run directory as every stage.

Started by a worker as `stage.py -m training.STAGE --config FILE --run-dir DIR`.
"""

import json
import math
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training.contract.rundir import RunDir, Status

PER_SECOND = 10
NAMES = ("loss", "accuracy", "kl", "entropy", "grad_norm", "lr", "tokens", "reward")
NUM_STEPS = 100_000


STATUS_EVERY = 5  # twice a second, as training/engine/runlog.py


def main() -> None:
    """Until it is killed."""
    run_dir, started = RunDir(sys.argv[sys.argv.index("--run-dir") + 1]), time.time()
    rng, at = random.Random(str(run_dir.path)), time.monotonic()
    for step in range(1, NUM_STEPS + 1):
        values = {f"sft/{name}": math.exp(-step / 500) + 0.05 * rng.random() for name in NAMES}
        run_dir.append_metrics(step, values)
        if step % STATUS_EVERY == 0:
            run_dir.write_status(_status(step, started))
        if step % PER_SECOND == 0:
            print(f"step {step}: {json.dumps(values)}", flush=True)
        if step % (2 * PER_SECOND) == 0:
            run_dir.append_usage({"system/cpu_percent": 50.0, "system/memory_gib": 1.0})
        at += 1 / PER_SECOND
        time.sleep(max(0.0, at - time.monotonic()))


def _status(step: int, started: float) -> Status:
    left = (NUM_STEPS - step) / PER_SECOND
    return Status(
        state="running",
        phase="sft",
        step=step,
        num_steps=NUM_STEPS,
        started_at=started,
        updated_at=time.time(),
        eta_s=left,
    )


if __name__ == "__main__":
    main()
