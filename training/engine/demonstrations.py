"""What SFT learns from and is measured on, and which of it each step takes.

Everything here is a function of (seed, step), so a resumed run needs no position in any stream but the step itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

from training.contract.configs import ConfigError, SFTConfig
from training.engine import batches, corpus, data
from training.engine.batches import Cuts, Example
from training.engine.measure import NamedPrompt
from training.engine.optim import cosine_lr
from training.engine.text import Text

PRETRAIN_WARMUP_FRACTION = 0.02


@dataclass
class Material:
    """Everything the run learns from or is measured on, as token ids."""

    train: list[Example]
    valid: list[Example]
    prompts: list[NamedPrompt]
    stream: list[int]
    cuts: Cuts
    hashes: dict[str, str]


def read_material(config: SFTConfig, text: Text, say: Callable[[str], None]) -> Material:
    """Read the inputs. Raises ConfigError when there is nothing to learn from."""
    cuts = Cuts()
    limits = {"max_prompt_tokens": config.max_prompt_tokens, "max_response_tokens": config.max_response_tokens}
    snapshot = data.read_demonstrations(config.dataset)
    by_split = {
        split: batches.demonstrations((row for row in snapshot.rows if row.split == split), text, cuts=cuts, **limits)
        for split in ("train", "valid")
    }
    if not by_split["train"]:
        raise ConfigError("dataset", "has no demonstration in its train split")
    material = Material(**by_split, prompts=[], stream=[], cuts=cuts, hashes={"dataset": snapshot.manifest.sha256})
    _read_prompts(config, text, material)
    _read_stream(config, text, material)
    say(f"{len(material.train)} demonstrations to learn from, {len(material.valid)} to measure on; {cuts}")
    return material


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which step does what. Steps count from 0 over both phases."""

    pretrain_steps: int
    sft_steps: int
    steps_per_epoch: int
    measure_every: int
    num_texts: int

    @classmethod
    def of(cls, config: SFTConfig, material: Material, *, is_measured: bool) -> "Plan":
        """The plan that the config makes of so many demonstrations; without anything to measure on, nothing is."""
        num_texts = round(config.batch_size * config.pretraining_fraction)
        if config.pretraining_fraction and not num_texts:
            raise ConfigError(
                "pretraining_fraction", f"is less than one piece of text per batch of {config.batch_size}"
            )
        steps_per_epoch = batches.num_batches(len(material.train), config.batch_size - num_texts)
        sft_steps = steps_per_epoch * config.num_epochs
        return cls(
            pretrain_steps=config.pretrain_steps if config.init_model == "tiny" else 0,
            sft_steps=min(sft_steps, config.max_steps or sft_steps),
            steps_per_epoch=steps_per_epoch,
            measure_every=max(1, steps_per_epoch // config.evaluations_per_epoch) if is_measured else 0,
            num_texts=num_texts,
        )

    @property
    def num_steps(self) -> int:
        """Steps of both phases."""
        return self.pretrain_steps + self.sft_steps

    def is_measured(self, step: int) -> bool:
        """Is the model measured after this step?"""
        done = step + 1 - self.pretrain_steps
        return done > 0 and self.measure_every > 0 and (done % self.measure_every == 0 or done == self.sft_steps)

    def rate(self, config: SFTConfig, step: int) -> float:
        """The learning rate of a step: each phase has its own cosine."""
        if step < self.pretrain_steps:
            warmup = round(self.pretrain_steps * PRETRAIN_WARMUP_FRACTION)
            peak, num_steps = config.pretrain_learning_rate, self.pretrain_steps
            return cosine_lr(step, num_steps=num_steps, peak=peak, final_fraction=0.1, warmup_steps=warmup)
        return cosine_lr(
            step - self.pretrain_steps,
            num_steps=self.sft_steps,
            peak=config.learning_rate,
            final_fraction=config.final_lr_fraction,
            warmup_steps=config.warmup_steps,
        )

    def examples(self, config: SFTConfig, material: Material, step: int) -> list[Example]:
        """The batch of a step: a function of the step and the seed alone."""
        length = config.pretrain_sequence_tokens
        if step < self.pretrain_steps:
            factor = piece_factors(length, config.tiny_context)[step % 4]
            num_pieces = max(1, config.pretrain_batch_size // factor)
            return batches.text_batch(
                material.stream, num_pieces=num_pieces, length=length * factor, step=step, seed=config.seed
            )
        chosen = batches.batch_indices(
            len(material.train),
            batch_size=config.batch_size - self.num_texts,
            step=step - self.pretrain_steps,
            seed=config.seed,
        )
        # the last batch of an epoch may have fewer demonstrations: as much less text, or it would be mostly text
        num_texts = round(self.num_texts * len(chosen) / (config.batch_size - self.num_texts))
        texts = batches.text_batch(material.stream, num_pieces=num_texts, length=length, step=step, seed=config.seed)
        return [material.train[index] for index in chosen] + texts


def piece_factors(length: int, context: int) -> list[int]:
    """How many times longer the pieces of four pretraining steps in turn are: short pieces are cheap, but positions
    that no piece reaches would be noise to SFT."""
    longest = min(4, context // length)
    return [1, 1, min(2, longest), longest]


def _read_prompts(config: SFTConfig, text: Text, material: Material) -> None:
    if not config.validation_prompts:
        return
    snapshot = data.read_prompts(config.validation_prompts)
    rows = [row for row in snapshot.rows if row.split == "valid"] or list(snapshot.rows)
    if not rows:
        raise ConfigError("validation_prompts", "has no prompt")
    material.hashes["validation_prompts"] = snapshot.manifest.sha256
    material.prompts = [
        NamedPrompt(name=row.prompt_id, ids=material.cuts.prompt(text, row.prompt, config.max_prompt_tokens))
        for row in rows[: config.selection_max_prompts]
    ]


def _read_stream(config: SFTConfig, text: Text, material: Material) -> None:
    if config.pretraining_text:
        snapshot = data.read_text(config.pretraining_text)
        material.hashes["pretraining_text"] = snapshot.manifest.sha256
        material.stream = corpus.snapshot_stream(snapshot.rows, text)
    elif config.init_model == "tiny":
        material.stream = corpus.shipped_stream(text)
    wanted = config.init_model == "tiny" or config.pretraining_fraction
    if wanted and len(material.stream) <= 4 * config.pretrain_sequence_tokens:
        raise ConfigError("pretraining_text", f"has only {len(material.stream)} tokens in its train split")
