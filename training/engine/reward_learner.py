"""How a reward model learns from elements: one optimiser step, a whole fit, and what it is worth meanwhile.

The stage `reward` takes the steps one by one, with checkpoints between them; `curve` fits many small ones to the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from training.contract.configs import RewardLearning
from training.engine import batches, models, optim, sharding
from training.engine.batches import Element
from training.engine.device import Compute
from training.engine.losses import kwise_losses, pad_rankings
from training.engine.optim import adamw, check_finite, cosine_lr, optimiser_step
from training.engine.processes import ALONE, Processes
from training.engine.report import judged_pairs
from training.engine.rewards import LAYOUTS, choose_layout, flat_rankings, laid_out, packs, score_all, token_rows
from training.engine.text import Text


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The model and what goes with it."""

    config: RewardLearning
    compute: Compute
    processes: Processes
    text: Text
    model: Any
    layout: str

    def scores(self, elements: Sequence[Element]) -> list[list[float]]:
        """The score of each response of each element, without the bias. A sharded model scores in step: all processes
        score all elements."""
        is_sharded = sharding.is_sharded(self.model)
        scores = sharding.within(
            self.model,
            lambda: score_all(
                self.model,
                elements if is_sharded else self.processes.share(elements),
                layout="rows" if self.layout == "pairs" else self.layout,
                max_elements=self.config.micro_batch_size,
                max_tokens=self.config.max_forward_tokens,
                compute=self.compute,
                pad_id=self.text.pad_id,
            ),
        )
        return scores if is_sharded else self.processes.whole(scores)

    def loss(self, elements: Sequence[Element]) -> tuple[Tensor, Tensor]:
        """Σ weight · loss over the rankings of one forward pass, and the scores that it came from."""

        def compute() -> Tensor:
            with self.compute.autocast():
                return LAYOUTS[self.layout](self.model, elements, pad_id=self.text.pad_id)

        scores_N = sharding.within(self.model, compute)
        return weighted_loss(scores_N, elements, self.config)[0], scores_N.detach()


def load_model(config: RewardLearning, text: Text) -> Any:
    """The SFT model with a fresh head, ready to learn."""
    model = models.reward_from_policy(config.init_model, text, seed=config.seed)
    models.check_lengths(
        model, max_prompt_tokens=config.max_prompt_tokens, max_response_tokens=config.max_response_tokens
    )
    models.prepare_training(model, config)
    return model


def fit(config: RewardLearning, text: Text, elements: Sequence[Element], *, compute: Compute) -> Setup:
    """A fresh reward model that has learned from all the elements for `num_epochs`, in this process alone.

    No checkpoint is written and no weights are selected: it ends with its last step. The same config, elements and
    machine give the same weights.
    """
    model = load_model(config, text)
    layout, _ = choose_layout(model, config.layout)
    setup = Setup(
        config=config, compute=compute, processes=ALONE, text=text, model=model.to(compute.device), layout=layout
    )
    optimizer = adamw(setup.model, config)
    num_steps = batches.num_batches(len(elements), config.batch_size) * config.num_epochs
    for step in range(num_steps):
        chosen = batches.batch_indices(len(elements), batch_size=config.batch_size, step=step, seed=config.seed)
        learn(
            setup,
            optimizer,
            [elements[index] for index in chosen],
            learning_rate=learning_rate(config, step, num_steps=num_steps),
        )
    return setup


def learning_rate(config: RewardLearning, step: int, *, num_steps: int) -> float:
    """The rate of a step, counted from 0: the cosine that the config describes."""
    return cosine_lr(
        step,
        num_steps=num_steps,
        peak=config.learning_rate,
        final_fraction=config.final_lr_fraction,
        warmup_steps=config.warmup_steps,
    )


def trainable(elements: Sequence[Element], split: str) -> list[Element]:
    """The elements of a split with the rankings that may train: not of held-out labelers, and not one single tie."""
    kept = [
        replace(
            element, rankings=tuple(item for item in element.rankings if not item.held_out and len(set(item.ranks)) > 1)
        )
        for element in elements
        if element.split == split
    ]
    return [element for element in kept if element.rankings]


def learn(
    setup: Setup, optimizer: torch.optim.Optimizer, elements: Sequence[Element], *, learning_rate: float
) -> dict[str, float]:
    """One optimiser step: the weighted mean over the rankings of the batch. Returns metrics."""
    total_weight = sum(weight for _, _, weight in flat_rankings(elements))
    sums = {"loss": 0.0, "right": 0.0, "pairs": 0.0, "score": 0.0, "responses": 0.0}
    own = setup.processes.share(elements)
    placed = [laid_out(element, layout=setup.layout, divisor=setup.config.divisor) for element in own]
    limits = {"max_elements": setup.config.micro_batch_size, "max_tokens": setup.config.max_forward_tokens}
    parts = [[placed[index] for index in pack] for pack in packs(placed, layout=setup.layout, **limits)]
    spare = [laid_out(elements[0], layout=setup.layout, divisor=setup.config.divisor)]
    for part, factor in sharding.evened(setup.model, parts, setup.processes, spare=spare):
        with models.learning(setup.model):
            loss, scores_N = setup.loss(part)
            check_finite("reward/loss", loss.item(), partial(token_rows, part, pad_id=setup.text.pad_id))
            (loss * (factor / total_weight)).backward()  # type: ignore[no-untyped-call]
        if factor:
            _add(sums, loss.item(), scores_N, part)
    if not sharding.is_sharded(setup.model):
        setup.processes.sum_gradients(optim.trainable(setup.model))
    sums = setup.processes.sum_figures(sums)
    norm = optimiser_step(
        [optimizer],
        learning_rate=learning_rate,
        max_grad_norm=setup.config.max_grad_norm,
        batch=partial(token_rows, elements, pad_id=setup.text.pad_id),
    )
    return {
        "reward/loss": sums["loss"] / total_weight,
        "reward/accuracy": sums["right"] / sums["pairs"],
        "reward/score_mean": sums["score"] / sums["responses"],
        "reward/learning_rate": learning_rate,
        "reward/gradient_norm": norm,
    }


def weighted_loss(scores_N: Tensor, elements: Sequence[Element], config: RewardLearning) -> tuple[Tensor, float]:
    """Σ weight · loss over the rankings of the elements, and Σ weight."""
    rankings = flat_rankings(elements)
    index_GK, ranks_GK = pad_rankings([(positions, ranks) for positions, ranks, _ in rankings])
    index_GK, ranks_GK = index_GK.to(scores_N.device), ranks_GK.to(scores_N.device)
    weight_G = torch.tensor([weight for _, _, weight in rankings], device=scores_N.device, dtype=scores_N.dtype)
    loss_G, _ = kwise_losses(scores_N, index_GK, ranks_GK, divisor=config.divisor)
    return (weight_G * loss_G).sum(), sum(weight for _, _, weight in rankings)


def measure(setup: Setup, elements: Sequence[Element]) -> dict[str, float]:
    """Loss and pair accuracy on a split."""
    scores = setup.scores(elements)
    flat_N = torch.tensor([score for values in scores for score in values], dtype=torch.float64)
    loss, total_weight = weighted_loss(flat_N, elements, setup.config)
    pairs = judged_pairs(elements, scores)
    return {
        "reward/valid_loss": loss.item() / total_weight,
        "reward/valid_accuracy": sum(pair.right for pair in pairs) / len(pairs),
    }


def _add(sums: dict[str, float], loss: float, scores_N: Tensor, elements: Sequence[Element]) -> None:
    flat = scores_N.tolist()
    sums["loss"] += loss
    sums["score"] += sum(flat)
    sums["responses"] += len(flat)
    for element in elements:
        values, flat = flat[: len(element.responses)], flat[len(element.responses) :]
        pairs = judged_pairs([element], [values])
        sums["right"] += sum(pair.right for pair in pairs)
        sums["pairs"] += len(pairs)
