"""Podium's reward stage beside TRL's RewardTrainer: same rankings, weights, optimiser and prompts per step, in one run.

    python benchmarks/reward_vs_trl.py [--quick] [--json FILE] [--models gpt2-3m,gpt2-30m] [--cells 4x128,9x256]

TRL runs at its best: fp32 without gradient checkpointing on a CPU (its defaults are slower there), six pairs a forward
(`--pairs` tries another number). On a GPU both compute in bf16 with fp32 weights. The two take turns, on as many
threads; the best round of each counts, and of memory our worst. Both see the same pairs in the same steps, so their
losses must be equal, and are compared.
docs/benchmarks.md explains the columns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from trl_peer import environments, rankings
from trl_peer.rankings import Cell, Material

HERE = Path(__file__).parent
SMALL, LARGE = "gpt2-3m", "gpt2-30m"
HAS_GPU = torch.cuda.is_available()
GPU_MODELS = "gpt2-0.1b,gpt2-0.4b,gpt2-0.8b"
LEARNING_RATE = 1e-5 if HAS_GPU else 1e-3
BEST_PAIRS = 48 if HAS_GPU else 6  # pairs a forward of TRL
OURS_ON_GPU = {"max_forward_tokens": 16_384, "micro_batch_size": 64} if HAS_GPU else {}
MATMUL = 8192 if HAS_GPU else 1024


@dataclass(frozen=True)
class Plan:
    cells: tuple[Cell, ...]
    rounds: int
    pairs: int


@dataclass(frozen=True)
class Measured:
    """One side of a cell."""

    step_s: (
        float  # wall, from the end of the first step to the end of the last, per step: data loading and logs included
    )
    step_cpu_s: float
    memory_mib: float  # peak over what the process held before the first step
    peak_mib: float
    threads: int
    losses: list[float]
    accuracy: float | None


def main() -> int:
    args = _arguments()
    interpreter = environments.make("trl-reward")
    plan = _plan(args)
    rate = matmul_rate()
    print(
        f"matmul {rate / 1e9:.0f} GFLOP/s with {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True
    )
    rows = [measure(cell, plan, interpreter=interpreter, rate=rate) for cell in plan.cells]
    print_table(rows)
    if args.json:
        Path(args.json).write_text(json.dumps(_summary(rows), indent=1))
    return 0


def measure(cell: Cell, plan: Plan, *, interpreter: Path, rate: float) -> dict[str, Any]:
    """Both sides of a cell in turn; returns its row of the table."""
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as name:
        folder = Path(name)
        material = rankings.prepare(cell, folder)
        ours, theirs = [], []
        for number in range(1 if cell.model == LARGE or HAS_GPU else plan.rounds):
            theirs.append(run_theirs(cell, material, folder, interpreter, pairs=plan.pairs, evaluate=number == 0))
            ours.append(run_ours(cell, material, folder, number))
            print(
                f"{cell.name} round {number}: TRL {theirs[-1].step_s:.2f} s, ours {ours[-1].step_s:.2f} s", flush=True
            )
        return _row(cell, material, ours=ours, theirs=theirs, pairs=plan.pairs, rate=rate)


def run_theirs(
    cell: Cell, material: Material, folder: Path, interpreter: Path, *, pairs: int, evaluate: bool
) -> Measured:
    settings = {
        "reward": str(material.reward),
        "train": str(material.train_pairs),
        "valid": str(material.valid_pairs),
        "pairs_per_forward": pairs,
        "pairs_per_step": cell.prompts_per_step * cell.k * (cell.k - 1) // 2,
        "learning_rate": LEARNING_RATE,
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-8,
        "dtype": "float32",
        "bf16": HAS_GPU,
        "evaluate": evaluate,
    }
    (folder / "theirs.json").write_text(json.dumps(settings))
    return _run(folder, interpreter, HERE / "trl_peer" / "reward_theirs.py", str(folder / "theirs.json"))


def run_ours(cell: Cell, material: Material, folder: Path, number: int) -> Measured:
    config = {
        "init_model": str(material.policy),
        "dataset": str(material.snapshot),
        "max_prompt_tokens": int(cell.prompt_tokens * 1.15) + 1,
        "max_response_tokens": rankings.RESPONSE_TOKENS[1] + 1,
        "num_epochs": 1,
        "batch_size": cell.prompts_per_step,
        "learning_rate": LEARNING_RATE,
        "final_lr_fraction": 1.0,
        "checkpoint_every": 100_000,
        "select": "last",
        "bootstrap_samples": 100,
        **OURS_ON_GPU,
    }
    (folder / "ours.json").write_text(json.dumps(config))
    script = HERE / "trl_peer" / "reward_ours.py"
    return _run(folder, Path(sys.executable), script, str(folder / "ours.json"), str(folder / f"run-{number}"))


def matmul_rate() -> float:
    """FLOP/s of a plain product on this machine, best of several: fp32 on a CPU, bf16 on a GPU."""
    place: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16} if HAS_GPU else {}
    left, right = torch.randn(MATMUL, MATMUL, **place), torch.randn(MATMUL, MATMUL, **place)
    best = 0.0
    for _ in range(20):
        started = time.perf_counter()
        left @ right
        if HAS_GPU:
            torch.cuda.synchronize()
        best = max(best, 2 * MATMUL**3 / (time.perf_counter() - started))
    return best


def _run(folder: Path, interpreter: Path, script: Path, *arguments: str) -> Measured:
    out = folder / "result.json"
    out.unlink(missing_ok=True)
    threads = os.environ.get("OMP_NUM_THREADS") or str(torch.get_num_threads())
    paths = os.pathsep.join((str(HERE.parent), str(HERE)))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(  # noqa: PLW1510  # the code is looked at below
        [str(interpreter), str(script), *arguments, str(out)], env=environment, capture_output=True, text=True
    )
    if done.returncode or not out.exists():
        raise SystemExit(f"{script.name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    found = json.loads(out.read_text())
    wall, cpu = (
        [later - earlier for earlier, later in pairwise(column)] for column in zip(*found["times"], strict=True)
    )
    return Measured(
        step_s=statistics.fmean(wall),
        step_cpu_s=statistics.fmean(cpu),
        memory_mib=found["gpu_peak"] or found["rss_peak"] - found["rss_before"],
        peak_mib=found["gpu_peak"] or found["rss_peak"],
        threads=found["threads"],
        losses=found["losses"],
        accuracy=found["accuracy"],
    )


def _row(
    cell: Cell, material: Material, *, ours: list[Measured], theirs: list[Measured], pairs: int, rate: float
) -> dict[str, Any]:
    assert len({side.threads for side in (*ours, *theirs)}) == 1
    our_step, their_step = (min(side.step_s for side in sides) for sides in (ours, theirs))
    our_memory, their_memory = max(side.memory_mib for side in ours), min(side.memory_mib for side in theirs)
    unique = rankings.num_unique_tokens(material.snapshot, "train") / cell.num_steps
    width, layers, _ = rankings.SIZES[cell.model]
    flops = 6 * 12 * layers * width**2 * unique  # of the layers' matrices alone: attention and embeddings come on top
    return {
        "cell": cell.name,
        "model": cell.model,
        "k": cell.k,
        "prompt_tokens": cell.prompt_tokens,
        "ours_rankings_per_s": cell.prompts_per_step / our_step,
        "trl_rankings_per_s": cell.prompts_per_step / their_step,
        "ratio": their_step / our_step,
        "cpu_ratio": min(side.step_cpu_s for side in theirs) / min(side.step_cpu_s for side in ours),
        "ours_tokens_per_s": unique / our_step,
        "token_ratio": rankings.num_pair_tokens(material.snapshot, "train") / cell.num_steps / unique,
        "limit_share": flops / rate / our_step,
        "ours_memory_mib": our_memory,
        "trl_memory_mib": their_memory,
        "memory_ratio": our_memory / their_memory,
        "ours_peak_mib": max(side.peak_mib for side in ours),
        "trl_peak_mib": min(side.peak_mib for side in theirs),
        "ours_accuracy": ours[0].accuracy,
        "trl_accuracy": theirs[0].accuracy,
        "loss_difference": max(
            abs(one - other) for one, other in zip(ours[0].losses[:3], theirs[0].losses[:3], strict=True)
        ),
        "trl_pairs_per_forward": pairs,
        "threads": ours[0].threads,
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    columns = (
        ("cell", "cell", "{}"),
        ("ours", "ours_rankings_per_s", "{:.2f}/s"),
        ("TRL", "trl_rankings_per_s", "{:.2f}/s"),
        ("ratio", "ratio", "{:.1f}"),
        ("CPU ratio", "cpu_ratio", "{:.1f}"),
        ("tokens", "token_ratio", "{:.1f}"),
        ("ours tokens/s", "ours_tokens_per_s", "{:,.0f}"),
        ("of limit", "limit_share", "{:.0%}"),
        ("ours MiB", "ours_memory_mib", "{:.0f}"),
        ("TRL MiB", "trl_memory_mib", "{:.0f}"),
        ("memory", "memory_ratio", "{:.2f}"),
        ("accuracy ours", "ours_accuracy", "{:.3f}"),
        ("TRL", "trl_accuracy", "{:.3f}"),
        ("loss apart", "loss_difference", "{:.0e}"),
        ("pairs/forward", "trl_pairs_per_forward", "{}"),
    )
    print("| " + " | ".join(title for title, _, _ in columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print(
            "| " + " | ".join("–" if row[key] is None else shape.format(row[key]) for _, key, shape in columns) + " |"
        )


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole table, and the figures that are asked for by name: the lowest ratio of each K on the small model."""
    small = [row for row in rows if row["model"] == rows[0]["model"]]
    found: dict[str, Any] = {"rows": rows}
    for k in sorted({row["k"] for row in small}):
        found[f"ratio_k{k}"] = min(row["ratio"] for row in small if row["k"] == k)
        found[f"memory_ratio_k{k}"] = max(row["memory_ratio"] for row in small if row["k"] == k)
    return found


def _plan(args: argparse.Namespace) -> Plan:
    cells = []
    for model in args.models.split(","):
        for name in args.cells.split(","):
            k, prompt = (int(part) for part in name.split("x"))
            prompts, steps, valid = (1, 3, 4) if model == LARGE else (4, 4, 8) if args.quick else (4, 8, 24)
            if HAS_GPU:
                prompts, steps, valid = 16, 5, 8
            cells.append(Cell(model, k, prompt, prompts, steps, valid))
    return Plan(cells=tuple(cells), rounds=1 if args.quick else args.rounds, pairs=args.pairs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of the small model")
    parser.add_argument("--json", metavar="FILE", help="write the table there too")
    parser.add_argument("--models", default="", help=f"of {', '.join(rankings.SIZES)}")
    parser.add_argument("--cells", default="4x128,4x256,9x128,9x256", help="K x prompt tokens")
    parser.add_argument("--rounds", type=int, default=2, help="of each side; a quick run and the large model: one")
    parser.add_argument("--pairs", type=int, default=BEST_PAIRS, help="pairs a forward of TRL; a divisor of K(K-1)/2")
    args = parser.parse_args()
    if HAS_GPU:
        args.models = args.models or (GPU_MODELS.split(",")[0] if args.quick else GPU_MODELS)
    args.models = args.models or (SMALL if args.quick else f"{SMALL},{LARGE}")
    return args


if __name__ == "__main__":
    raise SystemExit(main())
