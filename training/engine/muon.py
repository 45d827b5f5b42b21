"""Muon whose orthogonalisation is in float32 on a CPU. torch's multiplies in bf16 everywhere.

On a processor without units for bf16 an update takes 25 times as long as in float32; it was nine tenths of what
pretraining the tiny model took there. The polynomial and its coefficients are torch's; so is the
update on a GPU.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Muon(torch.optim.Muon):
    """`torch.optim.Muon` with its default `adjust_lr_fn`. Groups and state are the same, and so are checkpoints."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if any(item.is_cuda for group in self.param_groups for item in group["params"]):
            return super().step(closure)  # type: ignore[no-untyped-call]
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._learn(parameter, parameter.grad, group)
        return loss

    def _learn(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
        update = orthogonal(ahead, group["ns_coefficients"], num_steps=group["ns_steps"], eps=group["eps"])
        rows, columns = parameter.shape
        rate = float(group["lr"]) * max(1.0, rows / columns) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)


def orthogonal(
    matrix: Tensor, coefficients: tuple[float, float, float], *, num_steps: int, eps: float = 1e-7
) -> Tensor:
    """The nearest orthogonal matrix, about: all singular values of `matrix` (M×N) move towards 1.

    Each of `num_steps` steps of Newton and Schulz takes X to a·X + b·(X Xᵀ) X + c·(X Xᵀ)² X, the singular values of X
    being at most 1 at first. Five steps with torch's coefficients leave them between about 0.7 and 1.2, those that were
    next to nothing excepted (Jordan 2024).
    """
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if is_tall else matrix
    found = found / found.norm().clamp(min=eps)
    for _ in range(num_steps):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if is_tall else found
