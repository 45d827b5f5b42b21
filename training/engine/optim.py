"""AdamW, the learning-rate schedule, and the optimiser step that refuses numbers that are not finite."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from training.contract.configs import OptimiserConfig
from training.engine import sharding
from training.engine.muon import Muon

ADAMW_SHARE = 0.15
"""AdamW's share of Muon's learning rate in `muon_and_adamw`."""

Batch = Callable[[], Mapping[str, Tensor]]
"""Makes the tensors to keep when a number is not finite; called only then."""


class NonFiniteError(RuntimeError):
    """A loss or gradient that is NaN or infinite. `tensors` is the batch that made it; the run keeps it in a file."""

    def __init__(self, message: str, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(message)
        self.tensors = dict(tensors)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that learn, in the model's own order."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def adamw(model: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW over all weights; the learning rate is set at each step. Weight decay spares vectors (biases, norms)."""
    parameters = trainable(model)
    groups = [
        {"params": [item for item in parameters if item.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [item for item in parameters if item.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=0.0,
        betas=(config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        fused=not any(sharding.is_spread(item) for item in parameters),  # one pass over weights and moments
    )


def muon_and_adamw(model: nn.Module, config: OptimiserConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and vectors: for pretraining from nothing.

    Muon (Jordan 2024, in torch from 2.9) makes each update of a matrix orthogonal. On the tiny model it needs about a
    third of the tokens that AdamW needs for the same loss. `lr_scale` of a group multiplies the rate that
    `optimiser_step` is given.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    matrices = [item for item in model.parameters() if item.ndim == 2 and id(item) not in embeddings]
    others = [item for item in model.parameters() if item.ndim != 2 or id(item) in embeddings]
    betas = (config.adam_beta1, config.adam_beta2)
    return [
        Muon(matrices, lr=0.0, momentum=0.95, weight_decay=0.0),
        torch.optim.AdamW(
            [{"params": others, "lr_scale": ADAMW_SHARE}],
            lr=0.0,
            betas=betas,
            eps=config.adam_epsilon,
            weight_decay=0.0,
        ),
    ]


def cosine_lr(step: int, *, num_steps: int, peak: float, final_fraction: float, warmup_steps: int = 0) -> float:
    """The rate of step `step` (counted from 0) of `num_steps`: linear warm-up, then a cosine that ends at
    `final_fraction` · `peak` on the last step. A function of the step alone, so a resumed run needs no other state."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    last = max(1, num_steps - 1 - warmup_steps)
    progress = min(1.0, (step - warmup_steps) / last)
    return peak * (final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * progress)))


def optimiser_step(
    optimizers: Sequence[torch.optim.Optimizer], *, learning_rate: float, max_grad_norm: float, batch: Batch
) -> float:
    """Clip, step, clear. Returns the gradient norm before clipping. Raises NonFiniteError before any weight changes."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    parameters = [parameter for group in groups for parameter in group["params"]]
    clipped = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    norm = float(sharding.whole(clipped))
    if not math.isfinite(norm):
        raise NonFiniteError(f"the gradient norm is {norm}", batch())
    for group in groups:
        group["lr"] = learning_rate * group.get("lr_scale", 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return norm


def check_finite(name: str, value: float, batch: Batch) -> None:
    """Raises NonFiniteError when a loss cannot be used."""
    if not math.isfinite(value):
        raise NonFiniteError(f"{name} is {value}", batch())
