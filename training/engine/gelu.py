"""GELU by its tanh formula (GPT-2's `gelu_new`, Gemma's), several times faster on a CPU than torch's own kernel.

torch's kernel spends most of its time in a tanh of its own. Here the formula is written out in plain operations, over
pieces that stay in the processor's cache, and the derivative is made beside the value while all that it needs is at
hand, so that the backward pass is one product. It takes the place of the input, which nothing needs any more. Half of
1 + tanh u is the logistic function of 2u, which saves an operation and keeps small values exact. GPT-2's feed-forward
layers leave their first bias to it: added there it costs no memory traffic, and the product before it does not start by
writing the bias to every token.

    v(x) = a · (x + 0.044715 x³)     a = 2 · √(2/π)     s = 1 / (1 + exp(−v))     y = x · s
    y′ = s + s · (1 − s) · x · v′    x · v′ = 3 v − 2 a x
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers.activations import GELUTanh, NewGELUActivation
from transformers.pytorch_utils import Conv1D

SCALE: Final = math.sqrt(2 / math.pi)
CUBE: Final = 0.044715
PIECE: Final = 1 << 16
"""Numbers that each thread computes at a time: the handful of buffers of one piece fit its second-level cache."""

_WRITTEN_OUT: Final = (torch.float32, torch.float64)


class TanhGELU(nn.Module):
    """`torch.nn.GELU(approximate="tanh")`, equal up to rounding, between two layers that do not look at its input.

    On a CPU the input is overwritten. Autograd refuses to go through whatever had kept it for its backward pass; a leaf
    is left alone. A bias, as wide as the input's last dimension, is added to the input first.
    """

    def forward(self, given: Tensor, bias: Tensor | None = None) -> Tensor:
        if given.device.type != "cpu" or given.dtype not in _WRITTEN_OUT:
            return gelu(given if bias is None else given + bias, approximate="tanh")
        given = given.clone() if given.is_leaf and given.requires_grad else given.contiguous()
        if torch.is_grad_enabled() and (given.requires_grad or (bias is not None and bias.requires_grad)):
            result: Tensor = _WithDerivative.apply(given, bias)  # type: ignore[no-untyped-call]
            return result
        return _value(given, bias)


def fuse(model: nn.Module) -> None:
    """GELU by its tanh formula as one function instead of eight, wherever a layer of this model has it."""
    for module in model.modules():
        for name in ("act", "act_fn"):
            if isinstance(getattr(module, name, None), NewGELUActivation | GELUTanh):
                setattr(module, name, TanhGELU())
        if isinstance(getattr(module, "act", None), TanhGELU) and hasattr(module, "c_fc"):
            module.forward = partial(_feed_forward, module, module.forward)


def _feed_forward(layer: Any, forward: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """GPT-2's feed-forward layer, its first bias added by GELU; by its own code where that gains nothing."""
    first = layer.c_fc
    is_plain = type(first) is Conv1D and first.weight.dtype in _WRITTEN_OUT  # no adapters around it
    if not is_plain or hidden.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return forward(hidden)
    between = layer.act(hidden @ first.weight, first.bias)
    result: Tensor = layer.dropout(layer.c_proj(between))
    return result


class _WithDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, bias: Tensor | None) -> Tensor:
        value = _value_and_derivative(given, bias)
        ctx.save_for_backward(given.detach())
        ctx.has_bias = bias is not None
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        (derivative,) = ctx.saved_tensors
        if not ctx.has_bias:
            return derivative.mul_(gradient), None
        to_bias = derivative.new_zeros(derivative.shape[-1])
        for piece, given in zip(_pieces(derivative), _pieces(gradient.contiguous()), strict=True):
            to_bias += piece.mul_(given).sum(dim=0)
        return derivative, to_bias


def _value(given: Tensor, bias: Tensor | None) -> Tensor:
    """The value, in place of the input."""
    scale, (share,) = _scale(given.dtype), _buffers(given, 1)
    for x in _pieces(given):
        s = share[: len(x)]
        if bias is not None:
            x.add_(bias)
        torch.addcmul(scale, x, x, value=2 * SCALE * CUBE, out=s).mul_(x).sigmoid_()
        x.mul_(s)
    return given


def _value_and_derivative(given: Tensor, bias: Tensor | None) -> Tensor:
    """The value, and the derivative in place of the input."""
    value, scale = torch.empty_like(given), _scale(given.dtype)
    inner, share = _buffers(given, 2)
    for x, y in zip(_pieces(given), _pieces(value), strict=True):
        v, s = inner[: len(x)], share[: len(x)]
        if bias is not None:
            x.add_(bias)
        torch.addcmul(scale, x, x, value=2 * SCALE * CUBE, out=v).mul_(x)
        torch.sigmoid(v, out=s)
        torch.mul(x, s, out=y)
        torch.add(v, x, alpha=-4 * SCALE / 3, out=x)
        torch.addcmul(s, s, s, value=-1, out=v)
        torch.addcmul(s, v, x, value=3, out=x)
    return value


@lru_cache
def _scale(dtype: torch.dtype) -> Tensor:
    """2 · √(2/π) as a tensor: made once, it costs a decoding step nothing."""
    return torch.tensor(2 * SCALE, dtype=dtype)


def _buffers(given: Tensor, num: int) -> list[Tensor]:
    width = given.shape[-1]
    return [given.new_empty((min(_rows(width), given.numel() // max(1, width)), width)) for _ in range(num)]


def _pieces(tensor: Tensor) -> tuple[Tensor, ...]:
    """Whole rows of the last dimension."""
    width = tensor.shape[-1]
    return torch.split(tensor.view(-1, width), _rows(width))


def _rows(width: int) -> int:
    return max(1, PIECE * torch.get_num_threads() // max(1, width))
