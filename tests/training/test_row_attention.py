"""Attention row by row beside torch's own: of three tensors, of one that holds all, and of the tokens that read."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from training.engine import row_attention
from training.engine.row_attention import attend_rows, rows_of

LENGTHS, NUM_HEADS, SIZE = [5, 1, 17, 8], 3, 4
NUM_TOKENS, WIDTH = sum(LENGTHS), NUM_HEADS * SIZE


def joint_projection(seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(NUM_TOKENS, 3 * WIDTH, dtype=torch.float64, requires_grad=True)


def heads(tensor: Tensor) -> Tensor:
    return tensor.view(1, -1, NUM_HEADS, SIZE).transpose(1, 2)


def as_gpt_2_does(whole: Tensor) -> tuple[Tensor, ...]:
    return tuple(heads(part) for part in whole.view(1, NUM_TOKENS, -1).split(WIDTH, dim=2))


def of_their_own(whole: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.clone() for tensor in as_gpt_2_does(whole))


def in_another_order(whole: Tensor) -> tuple[Tensor, ...]:
    return as_gpt_2_does(whole)[::-1]


def with_frozen_keys(whole: Tensor) -> tuple[Tensor, ...]:
    query, key, value = as_gpt_2_does(whole)
    return query, key.detach(), value


def plainly(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    rows = zip(*(tensor.split(LENGTHS, dim=2) for tensor in (query, key, value)), strict=True)
    return torch.cat([scaled_dot_product_attention(*row, is_causal=True) for row in rows], dim=2).transpose(1, 2)


def result_and_gradient(whole: Tensor, attend: Callable[..., Tensor], cut: Any) -> tuple[Tensor, Tensor]:
    output = attend(*cut(1.0 * whole))
    (gradient,) = torch.autograd.grad((output * torch.arange(output.numel()).view_as(output).sin()).sum(), whole)
    return output.detach(), gradient


@pytest.mark.parametrize("cut", [as_gpt_2_does, of_their_own, in_another_order, with_frozen_keys])
def test_it_is_attention_of_each_row_and_its_gradient(cut: Any) -> None:
    whole = joint_projection()
    ours = result_and_gradient(whole, lambda *given: attend_rows(*given, rows_of(LENGTHS), scaling=None), cut)
    for found, expected in zip(ours, result_and_gradient(whole, plainly, cut), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("cut", "is_joint"),
    [(as_gpt_2_does, True), (of_their_own, False), (in_another_order, False), (with_frozen_keys, False)],
)
def test_thirds_of_one_tensor_have_their_gradient_in_one_piece(cut: Any, is_joint: bool) -> None:
    whole = 1.0 * joint_projection()
    assert (row_attention._joint(*cut(whole)) is whole) == is_joint


def test_tokens_that_read_have_what_they_have_among_all() -> None:
    read_N = torch.tensor([0, 4, 7, 20, 22, 30])
    query, key, value = of_their_own(joint_projection())
    all_rows = attend_rows(query, key, value, rows_of(LENGTHS), scaling=0.3)
    some_rows = attend_rows(query[:, :, read_N], key, value, rows_of(LENGTHS, read_N), scaling=0.3)
    torch.testing.assert_close(some_rows, all_rows[:, read_N], rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(attend_rows(query, key, value, rows_of(LENGTHS), scaling=0.3), all_rows)
