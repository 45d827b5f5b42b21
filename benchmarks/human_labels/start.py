"""The model that learning starts from: a fresh GPT-2 over a byte-level BPE of our own, and the stages run on it."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from training.engine import models
from training.engine.text import END, PAD, ROLE_TOKENS, START, Text, with_control_tokens

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the model is, how long its rows, and how long it learns."""

    num_layers: int
    width: int
    num_heads: int
    vocabulary: int
    prompt_tokens: int
    response_tokens: int
    sft_steps: int
    reward_epochs: int
    reward_steps: int


def fresh_model(folder: Path, texts: Sequence[str], size: Size, *, seed: int) -> int:
    """Write a model with random weights and a tokenizer learned from the texts. Returns its number of parameters."""
    text = learned_text(texts, vocabulary=size.vocabulary)
    model = models.build_tiny(
        text,
        num_layers=size.num_layers,
        width=size.width,
        num_heads=size.num_heads,
        context=size.prompt_tokens + size.response_tokens,
        seed=seed,
    )
    models.save_model(model, text, folder)
    return models.num_parameters(model)


def learned_text(texts: Sequence[str], *, vocabulary: int) -> Text:
    """A byte-level BPE of so many tokens, learned from the texts, with the control tokens of the tiny model."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    control = [PAD, START, END, *ROLE_TOKENS.values()]
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=control,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return with_control_tokens(tokenizer)


def run_stage(stage: str, folder: Path, config: dict[str, Any]) -> float:
    """Run a stage of ours as a user would; its log goes to this terminal. Returns the CPU seconds that it took."""
    folder.mkdir(parents=True, exist_ok=True)
    written = folder.with_suffix(".json")
    written.write_text(json.dumps(config))
    command = [sys.executable, "-m", f"training.{stage}", "--config", str(written), "--run-dir", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
