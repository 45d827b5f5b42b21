"""Podium's PPO stage beside TRL's PPOTrainer: same policy, reward model, prompts and recipe, in one run.

    python benchmarks/ppo_vs_trl.py [--quick] [--json FILE] [--inner-epochs 1,4] [--rounds 2] [--model NAME] [--batch N]

TRL 1.12 is the last release with PPOTrainer. Both start from the same folders, sample 64 episodes an update and learn
from them in four minibatches, on the same number of threads. A neutral judge (transformers' own sampler) then scores
both policies after equal episodes, on held-out prompts: the reward model's score, the true preference, and the exact KL
from the SFT policy.
On a GPU both compute in bf16 with fp32 weights. docs/benchmarks.md explains the columns, and where the two recipes
differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from trl_peer import environments, rankings, worlds
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
HAS_GPU = torch.cuda.is_available()
MICRO_BATCH = (
    64 if HAS_GPU else 16
)  # ours adds up the gradients of a minibatch in two forward passes; the step is the same
GPU_VOCABULARY = 32_000  # as models of that size have; most of it is never said
SHORT = 5  # updates of a round that measures speed alone


@dataclass(frozen=True)
class Measured:
    """One side in one round: the first update, which warms up, is left out of every time."""

    update_s: float
    update_cpu_s: float
    tokens_per_s: float  # of prompts and responses
    shares: dict[str, float]
    limit_share: float
    memory_mib: float
    peak_mib: float
    rows: list[dict[str, float]]
    policy: Path

    @property
    def episodes(self) -> int:
        """How many the policy has learnt from."""
        return len(self.rows) * int(RECIPE["batch_size"])


def main() -> int:
    args = _arguments()
    RECIPE.update(batch_size=args.batch, minibatch_size=args.batch // 4, learning_rate=args.learning_rate)
    interpreter = environments.make("trl-ppo")
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as name:
        say("training the starting point")
        vocabulary = GPU_VOCABULARY if HAS_GPU else 0
        world = worlds.prepare(Path(name), model=args.model, quick=args.quick, vocabulary=vocabulary)
        bench = Bench(folder=Path(name), world=world, interpreter=interpreter, threads=args.threads, model=args.model)
        start = judge(world.policy, world, kl_coef=RECIPE["kl_coef"])
        rows = [row for epochs in args.inner_epochs for row in bench.compare(epochs, args.updates, rounds=args.rounds)]
    print_table(rows, start)
    summary = _summary(rows, start, threads=args.threads)
    print({key: value for key, value in summary.items() if key not in ("rows", "start")})
    if args.json:
        Path(args.json).write_text(json.dumps(summary, indent=1))
    return 0


@dataclass(frozen=True)
class Bench:
    """What all runs share."""

    folder: Path
    world: worlds.World
    interpreter: Path
    threads: int
    model: str

    def compare(self, epochs: int, updates: int, *, rounds: int) -> list[dict[str, Any]]:
        """The two rows of the table. Both train in turn; all rounds but the first are short and measure speed alone."""
        found: dict[str, list[Measured]] = {"TRL": [], "ours": []}
        for number in range(rounds):
            length = updates if number == 0 else min(updates, SHORT)
            found["TRL"].append(self.run_theirs(epochs, length, number))
            found["ours"].append(self.run_ours(epochs, length, number))
            speeds = ", ".join(
                f"{side} {RECIPE['batch_size'] / each[-1].update_s:.1f}/s" for side, each in found.items()
            )
            say(f"{epochs} inner epochs, round {number}: {speeds}")
        return [_row(side, epochs, each, self.frontier(each)) for side, each in found.items()]

    def frontier(self, rounds: list[Measured]) -> list[dict[str, float]]:
        """What the judge says of the policy after so many episodes, of each length of a round once."""
        trained = {one.episodes: one.policy for one in reversed(rounds)}
        return [
            {"episodes": episodes} | judge(policy, self.world, kl_coef=RECIPE["kl_coef"])
            for episodes, policy in sorted(trained.items())
        ]

    def run_theirs(self, epochs: int, updates: int, number: int) -> Measured:
        saved = self.folder / f"theirs-{epochs}-{number}"
        settings = RECIPE | {
            "policy": str(self.world.policy),
            "reward": str(self.world.reward),
            "prompts": str(self.world.train_prompts),
            "updates": updates,
            "inner_epochs": epochs,
            "dtype": "float32",
            "bf16": HAS_GPU,
            "save": str(saved),
        }
        return self._run(self.interpreter, "ppo_theirs.py", settings, saved, epochs=epochs)

    def run_ours(self, epochs: int, updates: int, number: int) -> Measured:
        run_dir = self.folder / f"ours-{epochs}-{number}"
        config = RECIPE | {
            "policy_model": str(self.world.policy),
            "reward_model": str(self.world.reward),
            "prompts": str(self.world.prompts),
            "num_episodes": updates * RECIPE["batch_size"],
            "micro_batch_size": MICRO_BATCH,
            "num_inner_epochs": epochs,
            "value_learning_rate": RECIPE["learning_rate"],
            "max_prompt_tokens": worlds.PROMPT_TOKENS[1],
            "warmup_iterations": 0,
            "ema_decay": 0.0,
            "num_valid_prompts": 0,
            "checkpoint_every": 100_000,
            "kl_budget": 10_000.0,
        }
        policy = run_dir / "outputs" / "model"
        return self._run(Path(sys.executable), "ppo_ours.py", config, policy, str(run_dir), epochs=epochs)

    def _run(
        self, interpreter: Path, script: str, settings: dict[str, Any], policy: Path, *arguments: str, epochs: int
    ) -> Measured:
        given, out = self.folder / "given.json", self.folder / "result.json"
        given.write_text(json.dumps(settings))
        out.unlink(missing_ok=True)
        done = subprocess.run(  # noqa: PLW1510  # the code is looked at below
            [str(interpreter), str(HERE / "trl_peer" / script), str(given), *arguments, str(out)],
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(self.threads),
                "PYTHONPATH": str(HERE.parent),
                "PYTHONWARNINGS": "ignore",
            },
            capture_output=True,
            text=True,
        )
        if done.returncode or not out.exists():
            raise SystemExit(f"{script} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return _measured(json.loads(out.read_text()), policy, learn_flops=epochs * _flops_per_token(self.model))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _flops_per_token(model: str) -> float:
    """Forward and backward through the layers' matrices of policy and value function; attention, embeddings and
    logits are not counted."""
    width, layers, _ = rankings.SIZES[model]
    return 2 * 6 * 12 * layers * width**2


def _measured(found: dict[str, Any], policy: Path, *, learn_flops: float) -> Measured:
    wall, cpu = (sum(column) for column in zip(*found["updates"], strict=True))
    num_updates, learn_s = len(found["updates"]), found["spent"]["learn"][0]
    return Measured(
        update_s=wall / num_updates,
        update_cpu_s=cpu / num_updates,
        tokens_per_s=sum(found["tokens"]) / wall,
        shares={part: found["spent"][part][0] / wall for part in PARTS},
        limit_share=learn_flops * sum(found["tokens"]) / found["matmul_rate"] / learn_s,
        memory_mib=found["gpu_peak"] or found["peak"] - found["held"],
        peak_mib=found["gpu_peak"] or found["peak"],
        rows=found["rows"],
        policy=policy,
    )


def _row(side: str, epochs: int, rounds: list[Measured], frontier: list[dict[str, float]]) -> dict[str, Any]:
    """Times of the fastest round, everything else of the first, which is the whole training."""
    best = min(rounds, key=lambda one: one.update_s)
    return {
        "side": side,
        "inner_epochs": epochs,
        "episodes_per_s": RECIPE["batch_size"] / best.update_s,
        "tokens_per_s": best.tokens_per_s,
        "episodes_per_cpu_s": RECIPE["batch_size"] / min(one.update_cpu_s for one in rounds),
        "limit_share": best.limit_share,
        "memory_mib": rounds[0].memory_mib,
        "peak_mib": rounds[0].peak_mib,
        "curve": rounds[0].rows,
        **{f"{part}_share": share for part, share in best.shares.items()},
        "frontier": frontier,
    }


def print_table(rows: list[dict[str, Any]], start: dict[str, float]) -> None:
    speed = (
        ("", "side", "{}"),
        ("inner epochs", "inner_epochs", "{}"),
        ("episodes/s", "episodes_per_s", "{:.1f}"),
        ("tokens/s", "tokens_per_s", "{:,.0f}"),
        ("a CPU second", "episodes_per_cpu_s", "{:.1f}"),
        ("generate", "generate_share", "{:.0%}"),
        ("score", "score_share", "{:.0%}"),
        ("learn", "learn_share", "{:.0%}"),
        ("of limit", "limit_share", "{:.0%}"),
        ("training MiB", "memory_mib", "{:.0f}"),
        ("peak MiB", "peak_mib", "{:.0f}"),
    )
    judged = (
        ("", "side", "{}"),
        ("inner epochs", "inner_epochs", "{}"),
        ("episodes", "episodes", "{}"),
        ("reward", "reward", "{:.2f}"),
        ("vowels", "vowels", "{:.3f}"),
        ("KL", "kl", "{:.2f}"),
        ("tokens", "tokens", "{:.1f}"),
        ("reward − β·KL", "objective", "{:.2f}"),
        ("±", "objective_error", "{:.2f}"),
    )
    _print(speed, rows)
    points = [{"side": "SFT", "inner_epochs": "", "episodes": 0} | start]
    points += [
        {"side": row["side"], "inner_epochs": row["inner_epochs"]} | point for row in rows for point in row["frontier"]
    ]
    _print(judged, points)


def _print(columns: Sequence[tuple[str, str, str]], rows: Sequence[dict[str, Any]]) -> None:
    print("| " + " | ".join(title for title, _, _ in columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(shape.format(row[key]) for _, key, shape in columns) + " |")
    print()


def _summary(rows: list[dict[str, Any]], start: dict[str, float], *, threads: int) -> dict[str, Any]:
    """The figures asked for by name, of the fewest inner epochs (one is the paper's number), and the whole table."""
    theirs, ours = (next(row for row in rows if row["side"] == side) for side in ("TRL", "ours"))
    return {
        "ratio": ours["episodes_per_s"] / theirs["episodes_per_s"],
        "cpu_ratio": ours["episodes_per_cpu_s"] / theirs["episodes_per_cpu_s"],
        "limit_share": ours["limit_share"],
        "memory_ratio": ours["memory_mib"] / theirs["memory_mib"],
        "peak_ratio": ours["peak_mib"] / theirs["peak_mib"],
        "objective_difference": ours["frontier"][-1]["objective"] - theirs["frontier"][-1]["objective"],
        "inner_epochs": ours["inner_epochs"],
        "threads": threads,
        "start": start,
        "rows": rows,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of one inner epoch")
    parser.add_argument("--json", metavar="FILE", help="write the table there too")
    parser.add_argument("--model", default="gpt2-0.1b" if HAS_GPU else "gpt2-3m", choices=rankings.SIZES)
    parser.add_argument("--batch", type=int, default=256 if HAS_GPU else 64, help="episodes an update; a multiple of 4")
    parser.add_argument("--learning-rate", type=float, default=1e-5 if HAS_GPU else 1e-4)
    parser.add_argument("--inner-epochs", default="", help="comma-separated")
    parser.add_argument("--updates", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="of each side; all cores")
    args = parser.parse_args()
    args.inner_epochs = [int(part) for part in (args.inner_epochs or ("1" if args.quick else "1,4")).split(",")]
    args.updates = args.updates or (6 if args.quick else 16)
    args.rounds = args.rounds or (1 if args.quick else 2)
    args.threads = args.threads or int(os.environ.get("OMP_NUM_THREADS", "0")) or len(os.sched_getaffinity(0))
    return args


if __name__ == "__main__":
    raise SystemExit(main())
