"""A reward model of our own stages on what people really preferred: how often it is right on prompts it never saw.

    python benchmarks/real_preferences.py [--quick] [--json FILE] [--data ../shared/data] [--work DIR]

A fresh GPT-2 and a byte-level BPE learn from the training conversations alone, by `training.sft` (plain text and
demonstrations) and `training.reward` (rankings and preferences). Beside the reward model stand a guess by length, whose
direction is learned per source; the same network before `training.reward` with a fresh head; and people, where two of
them judged the same pair. All on the same items, with intervals over conversations. Nothing is chosen on the test
split.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from human_labels import rows, start, table

from training.contract.configs import EvaluateConfig
from training.engine import batches, data, device, models
from training.engine.batches import Cuts, Element
from training.engine.rewards import choose_layout, score_all
from training.engine.text import load_text

ROOT = Path(__file__).resolve().parents[1]
SHAPE = {"num_heads": 4, "prompt_tokens": 96, "response_tokens": 128}
FULL = start.Size(num_layers=3, width=192, vocabulary=6144, sft_steps=160, reward_epochs=2, reward_steps=0, **SHAPE)
QUICK = start.Size(num_layers=2, width=96, vocabulary=2048, sft_steps=30, reward_epochs=1, reward_steps=30, **SHAPE)


def main() -> int:
    args = _arguments()
    size = QUICK if args.quick else FULL
    with tempfile.TemporaryDirectory() as temporary:
        result = run(args.data, Path(args.work or temporary), size)
    print("\n".join(["", *table.lines(result["groups"])]))
    print(f"\nCalibration error on test prompts {result['calibration_error']:.3f}. Left out or shortened:")
    print("\n".join(f"  {count:6} {what}" for what, count in result["counts"].items()))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))
    return 0


def run(folder: Path, work: Path, size: start.Size) -> dict[str, Any]:
    """Everything: rows, a model to start from, both stages, and what each judge has right."""
    # 1. Rows, as snapshots
    begun = time.monotonic()
    material = rows.read(folder)
    snapshots = {"sft": material.demonstrations, "text": material.texts, "reward": material.rankings}
    for kind, found in snapshots.items():
        data.write_snapshot(work / "snapshots" / kind, kind, found)

    # 2. A model and a tokenizer that know nothing but training conversations
    prompts = [turn.content for row in material.rankings if row.split == "train" for turn in row.prompt]
    num_parameters = start.fresh_model(work / "fresh", [row.text for row in material.texts] + prompts, size, seed=0)

    # 3. Learn
    lengths = {"max_prompt_tokens": size.prompt_tokens, "max_response_tokens": size.response_tokens}
    seconds = {
        "sft": start.run_stage("sft", work / "sft", _sft(work, size) | lengths),
        "reward": start.run_stage("reward", work / "reward", _reward(work, size) | lengths),
    }

    # 4. Measure
    text = load_text(str(work / "fresh"))
    cuts = Cuts()
    everything = batches.elements(material.rankings, text, cuts=cuts, **lengths)
    elements = [item for item in everything if item.split == "test" or any(one.held_out for one in item.rankings)]
    untrained = models.reward_from_policy(str(work / "sft/outputs/model"), text, seed=1)
    trained = models.load_reward(str(work / "reward/outputs/model"), text)
    judges = {
        "reward model": scores(trained, elements, pad_id=text.pad_id),
        "by length": table.length_scores(elements, learned_from=everything),
        "untrained": scores(untrained, elements, pad_id=text.pad_id),
    }
    return table.measure(elements, judges) | {
        "counts": dict(material.counts) | {"cut to the longest row": str(cuts)},
        "num_parameters": num_parameters,
        "cpu_seconds": seconds,
        "wall_seconds": time.monotonic() - begun,
        "threads": os.environ.get("OMP_NUM_THREADS", "all but one"),
        "torch": torch.__version__,
    }


def scores(model: Any, elements: list[Element], *, pad_id: int) -> table.Scores:
    """The score of every response by a reward model."""
    compute = device.choose(EvaluateConfig(dataset="-", reward_model="-"))
    layout, _ = choose_layout(model.to(compute.device), "tree")
    return score_all(model, elements, layout=layout, max_elements=16, max_tokens=8192, compute=compute, pad_id=pad_id)


def _sft(work: Path, size: start.Size) -> dict[str, Any]:
    return {
        "init_model": str(work / "fresh"),
        "dataset": str(work / "snapshots/sft"),
        "pretraining_text": str(work / "snapshots/text"),
        "pretraining_fraction": 0.7,
        "batch_size": 32,
        "micro_batch_size": 32,
        "learning_rate": 2e-3,
        "warmup_steps": 20,
        "num_epochs": 16,
        "max_steps": size.sft_steps,
        "checkpoint_every": 100,
    }


def _reward(work: Path, size: start.Size) -> dict[str, Any]:
    return {
        "init_model": str(work / "sft/outputs/model"),
        "dataset": str(work / "snapshots/reward"),
        "num_epochs": size.reward_epochs,
        "batch_size": 32,
        "micro_batch_size": 32,
        "learning_rate": 5e-4,
        "warmup_steps": 10,
        "max_steps": size.reward_steps,
        "checkpoint_every": 50,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller model that learns for a minute or two")
    parser.add_argument("--json", type=Path, help="write everything that was measured here")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="the folder of real data")
    parser.add_argument("--work", help="keep snapshots and run directories here")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
