"""Podium's PPO stage beside TRL's PPOTrainer: same policy, reward model, prompts and recipe, in one run.

    python benchmarks/ppo_vs_trl.py [--quick] [--json FILE] [--inner-epochs 1,4] [--rounds 2]

TRL 1.12 is the last release with PPOTrainer. Both start from the same folders, sample 64 episodes an update and learn
from them in four minibatches. A neutral judge (transformers' own sampler) then scores both policies on held-out
prompts: the reward model's score, the true preference, and the exact KL from the SFT policy. docs/benchmarks.md
explains the columns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from trl_peer import environments, worlds
from trl_peer.judge import judge

HERE = Path(__file__).parent
RECIPE: dict[str, Any] = {
    "batch_size": 64,
    "minibatch_size": 16,
    "max_new_tokens": worlds.MAX_NEW_TOKENS,
    "kl_coef": 0.05,
    "learning_rate": 1e-4,
    "value_coef": 0.1,
    "seed": 1,
}
PARTS = ("generate", "score", "learn")


@dataclass(frozen=True)
class Measured:
    """One side: the first update, which warms up, is left out of every time."""

    episodes_per_s: float
    shares: dict[str, float]
    memory_mib: float
    rows: list[dict[str, float]]
    judged: dict[str, float]


def main() -> int:
    args = _arguments()
    interpreter = environments.make("trl-ppo")
    updates = 4 if args.quick else 20
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as name:
        folder = Path(name)
        say("training the starting point")
        world = worlds.prepare(folder, model=args.model, quick=args.quick)
        start = judge(world.policy, world)
        rows = []
        for epochs in args.inner_epochs:
            sides: dict[str, list[Measured]] = {"TRL": [], "ours": []}
            for number in range(args.rounds):
                sides["TRL"].append(run_theirs(world, folder, interpreter, epochs=epochs, updates=updates))
                sides["ours"].append(run_ours(world, folder, f"{epochs}-{number}", epochs=epochs, updates=updates))
            rows += [
                _row(side, epochs, max(found, key=lambda one: one.episodes_per_s)) for side, found in sides.items()
            ]
            say(
                f"{epochs} inner epochs: "
                + ", ".join(f"{row['side']} {row['episodes_per_s']:.1f}/s" for row in rows[-2:])
            )
    print_table(rows, start)
    if args.json:
        Path(args.json).write_text(json.dumps(_summary(rows, start), indent=1))
    return 0


def run_theirs(world: worlds.World, folder: Path, interpreter: Path, *, epochs: int, updates: int) -> Measured:
    settings = RECIPE | {
        "policy": str(world.policy),
        "reward": str(world.reward),
        "prompts": str(world.train_prompts),
        "updates": updates,
        "inner_epochs": epochs,
        "dtype": "float32",
        "bf16": torch.cuda.is_available(),
        "save": str(folder / "theirs"),
    }
    (folder / "theirs.json").write_text(json.dumps(settings))
    found = _run(folder, interpreter, HERE / "trl_peer" / "ppo_theirs.py", str(folder / "theirs.json"))
    seconds = [later[0] - earlier[0] for earlier, later in pairwise(found["stamps"])]
    return _measured(found, seconds, judge(folder / "theirs", world))


def run_ours(world: worlds.World, folder: Path, number: str, *, epochs: int, updates: int) -> Measured:
    config = RECIPE | {
        "policy_model": str(world.policy),
        "reward_model": str(world.reward),
        "prompts": str(world.prompts),
        "num_episodes": updates * RECIPE["batch_size"],
        "micro_batch_size": RECIPE["minibatch_size"],
        "num_inner_epochs": epochs,
        "value_learning_rate": RECIPE["learning_rate"],
        "max_prompt_tokens": worlds.PROMPT_TOKENS[1],
        "warmup_iterations": 0,
        "ema_decay": 0.0,
        "num_valid_prompts": 0,
        "checkpoint_every": 100_000,
        "kl_budget": 10_000.0,
    }
    (folder / "ours.json").write_text(json.dumps(config))
    run_dir = folder / f"run-{number}"
    script = HERE / "trl_peer" / "ppo_ours.py"
    found = _run(folder, Path(sys.executable), script, str(folder / "ours.json"), str(run_dir))
    return _measured(found, found["seconds"], judge(run_dir / "outputs" / "model", world))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(folder: Path, interpreter: Path, script: Path, *arguments: str) -> dict[str, Any]:
    out = folder / "result.json"
    out.unlink(missing_ok=True)
    threads = os.environ.get("OMP_NUM_THREADS") or str(torch.get_num_threads())
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(HERE.parent), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(  # noqa: PLW1510  # the code is looked at below
        [str(interpreter), str(script), *arguments, str(out)], env=environment, capture_output=True, text=True
    )
    if done.returncode or not out.exists():
        raise SystemExit(f"{script.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _measured(found: dict[str, Any], seconds: list[float], judged: dict[str, float]) -> Measured:
    total = sum(seconds[1:])
    return Measured(
        episodes_per_s=(len(seconds) - 1) * RECIPE["batch_size"] / total,
        shares={part: found["spent"].get(part, 0.0) / total for part in PARTS},
        memory_mib=found["gpu_peak"] or found["rss_peak"],
        rows=found["rows"],
        judged=judged,
    )


def _row(side: str, epochs: int, found: Measured) -> dict[str, Any]:
    return {
        "side": side,
        "inner_epochs": epochs,
        "episodes_per_s": found.episodes_per_s,
        "memory_mib": found.memory_mib,
        "curve": found.rows,
        **{f"{part}_share": share for part, share in found.shares.items()},
        **{f"judged_{name}": value for name, value in found.judged.items()},
    }


def print_table(rows: list[dict[str, Any]], start: dict[str, float]) -> None:
    print("| | inner epochs | episodes/s | generate | score | learn | peak MiB | reward | vowels | KL |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print(f"| SFT policy | | | | | | | {start['reward']:.2f} | {start['vowels']:.3f} | 0 |")
    for row in rows:
        shares = " | ".join(f"{row[f'{part}_share']:.0%}" for part in PARTS)
        judged = f"{row['judged_reward']:.2f} | {row['judged_vowels']:.3f} | {row['judged_kl']:.2f}"
        speed = f"{row['episodes_per_s']:.1f} | {shares} | {row['memory_mib']:.0f}"
        print(f"| {row['side']} | {row['inner_epochs']} | {speed} | {judged} |")


def _summary(rows: list[dict[str, Any]], start: dict[str, float]) -> dict[str, Any]:
    """`ratio` and `memory_ratio` of one inner epoch, the paper's number, and the whole table."""
    epochs = rows[0]["inner_epochs"]
    theirs, ours = (next(row for row in rows if row["side"] == side) for side in ("TRL", "ours"))
    return {
        "ratio": ours["episodes_per_s"] / theirs["episodes_per_s"],
        "memory_ratio": ours["memory_mib"] / theirs["memory_mib"],
        "inner_epochs": epochs,
        "start": start,
        "rows": rows,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few updates of one inner epoch")
    parser.add_argument("--json", metavar="FILE", help="write the table there too")
    parser.add_argument("--model", default="gpt2-3m")
    parser.add_argument("--inner-epochs", default="", help="comma-separated")
    parser.add_argument("--rounds", type=int, default=0)
    args = parser.parse_args()
    args.inner_epochs = [int(part) for part in (args.inner_epochs or ("1" if args.quick else "1,4")).split(",")]
    args.rounds = args.rounds or (1 if args.quick else 2)
    return args


if __name__ == "__main__":
    raise SystemExit(main())
