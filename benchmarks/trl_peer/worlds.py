"""Where both PPO trainers start: an SFT policy, a reward model that has learnt to like vowels, and prompts.

Made by Podium's own stages, written as plain transformers folders and JSON lines, so that TRL reads the same weights.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import torch

from training import reward, sft
from training.cli import run_stage
from training.contract.records import DemonstrationRow, Message, PromptRow, RewardRow
from training.engine import data, models, scoring
from training.engine.text import load_text
from trl_peer import rankings

PROMPT_TOKENS: Final = (32, 64)
RESPONSE_TOKENS: Final = (24, 60)
MAX_NEW_TOKENS: Final = 64
LENGTHS: Final = {"max_prompt_tokens": PROMPT_TOKENS[1], "max_response_tokens": MAX_NEW_TOKENS}
USUAL_VOWELS: Final = 0.35
SMALL_WIDTH: Final = 512  # wider models learn more slowly, or not at all


@dataclass(frozen=True)
class World:
    policy: Path
    reward: Path
    prompts: Path  # a snapshot: train, and valid for the judge
    train_prompts: Path  # the same as JSON lines


def prepare(folder: Path, *, model: str, quick: bool, seed: int = 0, vocabulary: int = 0) -> World:
    """Train the starting point. The policy writes random words; the reward model prefers those with more vowels.

    `vocabulary`: at least so many tokens, most of which stand for nothing.
    """
    random = Random(seed)
    start = _untrained(folder, model, seed, vocabulary)
    prompts = [_prompt(random) for _ in range(512 if quick else 2_048)]
    held_out = [_prompt(random) for _ in range(256)]
    rows = [_prompt_row(text, f"p{number}", "train") for number, text in enumerate(prompts)]
    rows += [_prompt_row(text, f"v{number}", "valid") for number, text in enumerate(held_out)]
    data.write_snapshot(folder / "prompts", "prompts", rows)
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in prompts))
    calm = 1.0 if rankings.SIZES[model][0] <= SMALL_WIDTH else 0.2
    policy = _sft(folder, start, prompts, random, num_rows=2_400 if quick else 6_400, seed=seed, calm=calm)
    judge = _reward(folder, policy, prompts, random, num_rows=320 if quick else 960, seed=seed, calm=calm)
    _set_spread(judge, prompts, random)
    return World(policy=policy, reward=judge, prompts=folder / "prompts", train_prompts=folder / "prompts.jsonl")


def _untrained(folder: Path, name: str, seed: int, vocabulary: int) -> Path:
    width, layers, heads = rankings.SIZES[name]
    text = rankings.plain_text()
    context = PROMPT_TOKENS[1] + MAX_NEW_TOKENS + 8
    model: Any = models.build_tiny(text, num_layers=layers, width=width, num_heads=heads, context=context, seed=seed)
    model.config.activation_function = "gelu_new"
    if vocabulary > len(text):
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    models.save_model(model, text, folder / "untrained")
    return folder / "untrained"


def _sft(
    folder: Path, start: Path, prompts: Sequence[str], random: Random, *, num_rows: int, seed: int, calm: float
) -> Path:
    rows = [
        DemonstrationRow(
            prompt_id=f"d{number}",
            prompt=[Message("user", random.choice(prompts))],
            response=_response(random, USUAL_VOWELS),
            split="train",
        )
        for number in range(num_rows)
    ]
    data.write_snapshot(folder / "demonstrations", "sft", rows)
    config = {
        "init_model": str(start),
        "dataset": str(folder / "demonstrations"),
        "num_epochs": 1,
        "batch_size": 32,
        "micro_batch_size": 32,
        "learning_rate": 1e-3 * calm,
        "dropout": 0.0,
        **LENGTHS,
        "seed": seed,
    }
    return _run("sft", sft.main, config, folder / "sft")


def _reward(
    folder: Path, policy: Path, prompts: Sequence[str], random: Random, *, num_rows: int, seed: int, calm: float
) -> Path:
    rows = [_ranking(random, number, random.choice(prompts)) for number in range(num_rows)]
    data.write_snapshot(folder / "rankings", "reward", rows)
    config = {
        "init_model": str(policy),
        "dataset": str(folder / "rankings"),
        "num_epochs": 1,
        "batch_size": 8,
        "learning_rate": 5e-4 * calm,
        **LENGTHS,
        "seed": seed,
    }
    return _run("reward", reward.main, config, folder / "reward")


@torch.no_grad()
def _set_spread(folder: Path, prompts: Sequence[str], random: Random) -> None:
    """Scores of responses as the policy has learnt them get a deviation of 1, and no bias: TRL reads weights alone."""
    text = load_text(str(folder))
    reward = models.load_reward(str(folder), text)
    models.set_reward_bias(reward, 0.0)
    given = [text.tokenizer(random.choice(prompts))["input_ids"] for _ in range(128)]
    said = [[*text.tokenizer(_response(random, USUAL_VOWELS))["input_ids"], text.end_id] for _ in given]
    scores = scoring.end_rewards(reward, scoring.episodes(given, said, pad_token_id=text.pad_id))
    reward.score.weight /= scores.std()
    models.save_model(reward, text, folder)


def _run(stage: str, main: Any, config: dict[str, Any], folder: Path) -> Path:
    folder.mkdir()
    (folder / "given.json").write_text(json.dumps(config))
    code = run_stage(stage, main, ["--config", str(folder / "given.json"), "--run-dir", str(folder / "run")])
    if code:
        sys.exit(f"the {stage} stage of the starting point failed: see {folder / 'run' / 'log.txt'}")
    return folder / "run" / "outputs" / "model"


def _ranking(random: Random, number: int, prompt: str) -> RewardRow:
    responses = [_response(random, random.uniform(0.1, 0.8)) for _ in range(4)]
    shares = [rankings.vowel_share(text) for text in responses]
    order = sorted(range(4), key=lambda index: -shares[index])
    return RewardRow(
        prompt_id=f"r{number}",
        prompt=[Message("user", prompt)],
        responses=responses,
        ranks=[order.index(index) + 1 for index in range(4)],
        labeler="known",
        weight=1.0,
        split="train" if number % 10 else "valid",
        held_out=False,
        category="",
    )


def _prompt(random: Random) -> str:
    return rankings.words(random, random.randint(*PROMPT_TOKENS) - 1, vowels=USUAL_VOWELS) + "\n"


def _response(random: Random, vowels: float) -> str:
    return rankings.words(random, random.randint(*RESPONSE_TOKENS), vowels=vowels)


def _prompt_row(text: str, name: str, split: str) -> PromptRow:
    return PromptRow(prompt_id=name, prompt=[Message("user", text)], split=split)
