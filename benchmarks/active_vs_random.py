"""Does choosing what to rank pay? A reward model on real human rankings, bought by lot or chosen by uncertainty.

    python benchmarks/active_vs_random.py [--quick] [--json FILE] [--data ../shared/data] [--seeds N]

A pool of prompts whose rankings are known but not yet shown. Each way begins with the same few by lot, and doubles what
it has until the last budget: by lot; where the margins of a reward model that learned so far are small (entropy of its
pairs); or where three such models disagree (what another model would settle). A fresh model learns at every step, by
the functions of `training.reward`, and all are measured on the same prompts, which nobody chose. Intervals draw
conversations and seeds again; the difference to random has an interval of its own.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from active_choice import pool, simulate
from active_choice.simulate import WAYS, Step, World
from human_labels import start, table

from training.contract.configs import EvaluateConfig
from training.engine import batches, curves, data, device, models
from training.engine.batches import Cuts, Element
from training.engine.report import judged_pairs, share_with_interval
from training.engine.rewards import choose_layout, score_all
from training.engine.text import load_text

ROOT = Path(__file__).resolve().parents[1]
SHAPE = {"num_layers": 2, "width": 64, "num_heads": 4, "prompt_tokens": 24, "response_tokens": 192}
FULL = start.Size(vocabulary=4096, sft_steps=120, reward_epochs=1, reward_steps=0, **SHAPE)
QUICK = start.Size(vocabulary=2048, sft_steps=60, reward_epochs=1, reward_steps=0, **SHAPE)
TINY = start.Size(vocabulary=512, sft_steps=2, reward_epochs=1, reward_steps=0, **SHAPE | {"response_tokens": 16})


@dataclass(frozen=True)
class Plan:
    """How large everything is."""

    size: start.Size
    budgets: list[int]
    num_seeds: int
    every: int = 1  # of so many rows of the material one is used


PLANS = {
    "full": Plan(FULL, [100, 200, 400, 800], 10),
    "quick": Plan(QUICK, [100, 200, 400], 2),
    "tiny": Plan(TINY, [20, 40], 2, every=8),
}
NUM_SAMPLES = 2000


def main() -> int:
    args = _arguments()
    torch.set_num_threads(1)
    plan = PLANS["tiny" if args.tiny else "quick" if args.quick else "full"]
    with tempfile.TemporaryDirectory() as temporary:
        result = run(args.data, Path(args.work or temporary), plan, num_seeds=args.seeds or plan.num_seeds)
    print("\n".join(["", *lines(result)]))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))
    return 0


def run(folder: Path, work: Path, plan: Plan, *, num_seeds: int) -> dict[str, Any]:
    """Everything: the pool, a model to start from, every way with every seed, and what they come to."""
    begun = time.monotonic()
    size, budgets = plan.size, plan.budgets

    # 1. Real judgements, and a model that has read but seen no preference
    material = pool.thinned(pool.read(folder), every=plan.every)
    data.write_snapshot(work / "sft-data", "sft", material.demonstrations)
    data.write_snapshot(work / "text", "text", material.texts)
    num_parameters = start.fresh_model(work / "fresh", [row.text for row in material.texts], size, seed=0)
    start.run_stage("sft", work / "sft", _sft(work, size))

    # 2. Elements
    text, cuts = load_text(str(work / "fresh")), Cuts()
    lengths = {"max_prompt_tokens": size.prompt_tokens, "max_response_tokens": size.response_tokens}
    elements = batches.elements(material.rankings, text, cuts=cuts, **lengths)
    world = World(
        config=simulate.learning(
            str(work / "sft/outputs/model"), num_epochs=size.reward_epochs, learning_rate=1e-3, batch_size=16, **lengths
        ),
        text=text,
        pool=pool.candidates(elements),
        test=pool.measured(elements),
        budgets=budgets,
        compute=device.choose(EvaluateConfig(dataset="-", reward_model="-", device="cpu")),
    )
    print(f"pool of {len(world.pool)} rankings; {len(world.test)} test prompts; {cuts}", flush=True)

    # 3. Every way with every seed
    steps: dict[str, list[list[Step]]] = {way.name: [] for way in WAYS}
    for seed in range(num_seeds):
        for way in WAYS:
            found = simulate.run(world, way, seed=seed)
            steps[way.name].append(found)
            curve = " ".join(f"{step.answers.accuracy:.1%}" for step in found)
            print(f"{time.monotonic() - begun:6.0f} s  seed {seed}  {way.name:9} {curve}", flush=True)

    # 4. What they come to, and what it stands beside
    return {
        "points": points(steps, budgets),
        "beside": beside(world, steps["random"]),
        "chosen_sources": {name: pool.sources(found[0][-1].bought) for name, found in steps.items()},
        "num_pool": len(world.pool),
        "num_test_prompts": len(world.test),
        "num_test_pairs": sum(steps["random"][0][0].answers.pairs_G),
        "num_seeds": num_seeds,
        "num_parameters": num_parameters,
        "cut_to_the_longest_row": str(cuts),
        "wall_seconds": time.monotonic() - begun,
        "torch": torch.__version__,
    }


def points(steps: dict[str, list[list[Step]]], budgets: list[int]) -> list[dict[str, Any]]:
    """At each number of rankings the accuracy of every way, and its difference to random, with intervals."""
    first = steps["random"][0][0].answers
    draws = curves.Resamples(
        num_prompts=len(first.pairs_G), num_seeds=len(steps["random"]), num_samples=NUM_SAMPLES, seed=0
    )
    rows = []
    for place, budget in enumerate(budgets):
        shares = {name: draws.accuracies([found[place].answers for found in of]) for name, of in steps.items()}
        row: dict[str, Any] = {"num_rankings": budget}
        row |= {name: curves.interval(values) for name, values in shares.items()}
        row["minus_random"] = {
            name: curves.interval(values - shares["random"]) for name, values in shares.items() if name != "random"
        }
        rows.append(row)
    return rows


def beside(world: World, by_lot: list[list[Step]]) -> dict[str, Any]:
    """A guess by length, the model before it learned, and one that learned from the whole pool."""
    untrained = models.reward_from_policy(world.config.init_model, world.text, seed=0)
    layout, _ = choose_layout(untrained, "tree")
    limits = {"max_elements": 16, "max_tokens": 4096, "compute": world.compute, "pad_id": world.text.pad_id}
    everything = simulate.member(world, world.pool, seed=0, number=0)
    return {
        "by length": share(world.test, table.length_scores(world.test, learned_from=world.pool)),
        "untrained": share(world.test, score_all(untrained, world.test, layout=layout, **limits)),
        f"all {len(world.pool)} rankings": share(world.test, everything.scores(world.test)),
    }


def share(elements: list[Element], scores: Any) -> dict[str, Any] | None:
    outcomes = [(pair.prompt_id, pair.right) for pair in judged_pairs(elements, scores)]
    return share_with_interval(outcomes, num_samples=NUM_SAMPLES, rng=np.random.default_rng(0))


def lines(result: dict[str, Any]) -> list[str]:
    """The table: a line per number of rankings, in per cent and points."""
    names = [way.name for way in WAYS]
    heads = [*names, *(f"{name} − random" for name in names[1:])]
    found = [f"{'rankings':>9}" + "".join(f"{head:>22}" for head in heads)]
    for row in result["points"]:
        figures = [row[name] for name in names] + [row["minus_random"][name] for name in names[1:]]
        found.append(f"{row['num_rankings']:>9}" + "".join(f"{cell(figure):>22}" for figure in figures))
    found += [f"{name:>20}: {cell(figure)}" for name, figure in result["beside"].items()]
    found.append(
        f"{result['num_seeds']} seeds, {result['num_test_prompts']} test prompts, {result['num_test_pairs']} pairs,"
        f" {result['num_parameters']:,} parameters, {result['wall_seconds']:.0f} s"
    )
    return found


def cell(figure: dict[str, Any]) -> str:
    return f"{100 * figure['value']:.1f} ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"


def _sft(work: Path, size: start.Size) -> dict[str, Any]:
    return {
        "init_model": str(work / "fresh"),
        "dataset": str(work / "sft-data"),
        "pretraining_text": str(work / "text"),
        "pretraining_fraction": 0.7,
        "pretrain_sequence_tokens": size.prompt_tokens + size.response_tokens,
        "max_prompt_tokens": size.prompt_tokens,
        "max_response_tokens": size.response_tokens,
        "batch_size": 32,
        "micro_batch_size": 32,
        "learning_rate": 2e-3,
        "warmup_steps": 20,
        "num_epochs": 16,
        "max_steps": size.sft_steps,
        "checkpoint_every": 1000,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer seeds and rankings: a few minutes")
    parser.add_argument("--tiny", action="store_true", help="learns nothing: does it run?")
    parser.add_argument("--json", type=Path, help="write everything that was measured here")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="the folder of real data")
    parser.add_argument("--seeds", type=int, default=0, help="how often each way is simulated")
    parser.add_argument("--work", help="keep snapshots and run directories here")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
