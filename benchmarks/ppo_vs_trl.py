"""Podium's PPO stage beside TRL's PPOTrainer: same policy, reward model, prompts and recipe, in one run.

    python benchmarks/ppo_vs_trl.py [--quick] [--json FILE] [--inner-epochs 1,4] [--rounds 2] [--model NAME] [--batch N]

TRL 1.12 is the last release with PPOTrainer. Both start from the same folders, sample 64 episodes an update and learn
from them in four minibatches, on the same number of threads. On a CPU they take turns, an update each, so that what
slows the machine down meets both; speeds are medians over updates. A neutral judge (transformers' own sampler) then
scores both policies after equal episodes, on held-out prompts: the reward model's score, the true preference, and the
exact KL from the SFT policy.
On a GPU both compute in bf16 with fp32 weights. docs/benchmarks.md explains the columns, and where the two recipes
differ.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from trl_peer import environments, rankings, turns, worlds
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
MICRO_BATCH = 64  # at most: on a CPU a minibatch is one forward pass, as it is for TRL
GPU_VOCABULARY = 32_000  # as models of that size have; most of it is never said
SHORT = 5  # updates of a round that measures speed alone


@dataclass(frozen=True)
class Measured:
    """One side in one round: the first update, which warms up, is left out of everything but memory."""

    updates: list[tuple[float, float]]  # seconds by the clock and of the processor
    spent: dict[str, float]  # seconds by the clock, by part
    tokens: list[int]
    matmul_rates: list[float]
    memory_mib: float
    peak_mib: float
    rows: list[dict[str, float]]
    policy: Path

    @property
    def episodes(self) -> int:
        """How many the policy has learnt from."""
        return len(self.rows) * int(RECIPE["batch_size"])

    @property
    def episodes_per_s(self) -> float:
        return RECIPE["batch_size"] / median(wall for wall, _ in self.updates)


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
        """The two rows of the table. Rounds after the first are short: for speed, and for policies on their way."""
        found: dict[str, list[Measured]] = {"TRL": [], "ours": []}
        for number in range(rounds):
            length = updates if number == 0 else min(updates, SHORT)
            for side, measured in self.round(epochs, length, number).items():
                found[side].append(measured)
            speeds = ", ".join(f"{side} {each[-1].episodes_per_s:.1f}/s" for side, each in found.items())
            say(f"{epochs} inner epochs, round {number}: {speeds}")
        flops = epochs * _flops_per_token(self.model)
        return [_row(side, epochs, each, self.frontier(each), learn_flops=flops) for side, each in found.items()]

    def frontier(self, rounds: list[Measured]) -> list[dict[str, float]]:
        """What the judge says of the policy after so many episodes, of each length of a round once."""
        trained = {one.episodes: one.policy for one in reversed(rounds)}
        return [
            {"episodes": episodes} | judge(policy, self.world, kl_coef=RECIPE["kl_coef"])
            for episodes, policy in sorted(trained.items())
        ]

    def round(self, epochs: int, updates: int, number: int) -> dict[str, Measured]:
        """Both sides, an update each in turn; on a GPU, which may not have room for both, one after the other."""
        sides = {
            "TRL": self.theirs(epochs, updates, f"theirs-{epochs}-{number}"),
            "ours": self.ours(epochs, updates, f"ours-{epochs}-{number}"),
        }
        if HAS_GPU:
            for side in sides.values():
                side.start({}).wait()
            return {name: side.result() for name, side in sides.items()}
        file = self.folder / f"turn-{epochs}-{number}"
        turns.begin(file, "TRL")
        try:
            for own, other in (("TRL", "ours"), ("ours", "TRL")):
                sides[own].start(turns.environment(file, own=own, other=other))
            while any(side.is_running() for side in sides.values()) and not any(map(Side.has_failed, sides.values())):
                time.sleep(0.5)
            first = sorted(sides.items(), key=lambda item: not item[1].has_failed())  # what failed says why
            return {name: side.result() for name, side in first}
        finally:
            for side in sides.values():
                side.kill()

    def theirs(self, epochs: int, updates: int, name: str) -> "Side":
        saved = self.folder / name
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
        return self._side(self.interpreter, "ppo_theirs.py", settings, name, policy=saved)

    def ours(self, epochs: int, updates: int, name: str) -> "Side":
        run_dir = self.folder / name
        config = RECIPE | {
            "policy_model": str(self.world.policy),
            "reward_model": str(self.world.reward),
            "prompts": str(self.world.prompts),
            "num_episodes": updates * RECIPE["batch_size"],
            "micro_batch_size": min(MICRO_BATCH, RECIPE["minibatch_size"]),
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
        return self._side(Path(sys.executable), "ppo_ours.py", config, name, str(run_dir), policy=policy)

    def _side(
        self, interpreter: Path, script: str, settings: dict[str, Any], name: str, *arguments: str, policy: Path
    ) -> "Side":
        given, out = self.folder / f"{name}.given.json", self.folder / f"{name}.result.json"
        given.write_text(json.dumps(settings))
        command = [str(interpreter), str(HERE / "trl_peer" / script), str(given), *arguments, str(out)]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(self.threads),
            "PYTHONPATH": str(HERE.parent),
            "PYTHONWARNINGS": "ignore",
        }
        return Side(command=command, environment=environment, out=out, policy=policy)


class Side:
    """The process of one side in one round."""

    def __init__(self, *, command: list[str], environment: dict[str, str], out: Path, policy: Path) -> None:
        self._command, self._environment, self._out, self._policy = command, environment, out, policy
        self._said = out.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, more: dict[str, str]) -> "subprocess.Popen[bytes]":
        with self._said.open("wb") as said:
            environment = self._environment | more
            self._process = subprocess.Popen(self._command, env=environment, stdout=said, stderr=subprocess.STDOUT)
        return self._process

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def has_failed(self) -> bool:
        return self._process is not None and bool(self._process.poll())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def result(self) -> Measured:
        if self._process is None or self._process.wait() or not self._out.exists():
            said = self._said.read_text(errors="replace") if self._said.exists() else ""
            raise SystemExit(f"{Path(self._command[1]).name} failed:\n{said[-6000:]}")
        found = json.loads(self._out.read_text())
        return Measured(
            updates=found["updates"],
            spent={part: found["spent"][part][0] for part in PARTS},
            tokens=found["tokens"],
            matmul_rates=found["matmul_rates"],
            memory_mib=found["gpu_peak"] or found["peak"] - found["held"],
            peak_mib=found["gpu_peak"] or found["peak"],
            rows=found["rows"],
            policy=self._policy,
        )


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _flops_per_token(model: str) -> float:
    """Forward and backward through the layers' matrices of policy and value function; attention, embeddings and
    logits are not counted."""
    width, layers, _ = rankings.SIZES[model]
    return 2 * 6 * 12 * layers * width**2


def _row(
    side: str, epochs: int, rounds: list[Measured], frontier: list[dict[str, float]], *, learn_flops: float
) -> dict[str, Any]:
    """Times of all rounds' updates, everything else of the first, which is the whole training."""
    updates = [update for one in rounds for update in one.updates]
    wall = sum(seconds for seconds, _ in updates)
    spent = {part: sum(one.spent[part] for one in rounds) for part in PARTS}
    at_the_limit = [
        learn_flops * tokens / rate for one in rounds for tokens, rate in zip(one.tokens, one.matmul_rates, strict=True)
    ]
    return {
        "side": side,
        "inner_epochs": epochs,
        "num_updates": len(updates),
        "episodes_per_s": RECIPE["batch_size"] / median(seconds for seconds, _ in updates),
        "tokens_per_s": sum(sum(one.tokens) for one in rounds) / wall,
        "episodes_per_cpu_s": RECIPE["batch_size"] / median(seconds for _, seconds in updates),
        "limit_share": sum(at_the_limit) / spent["learn"],
        "memory_mib": rounds[0].memory_mib,
        "peak_mib": rounds[0].peak_mib,
        "curve": rounds[0].rows,
        **{f"{part}_share": seconds / wall for part, seconds in spent.items()},
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
