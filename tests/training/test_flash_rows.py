"""The GPU's way through packed rows and trees, with a kernel of plain products in place of torch's: what is ours is
which tokens look at which, how two calls are joined, and where gradients go."""

import sys
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from training.engine import flash_rows
from training.engine.flash_rows import Sequences
from training.engine.tree_shared import SAMPLE, difference

HEADS = (4, 2, 16)


def plain_forward(
    query: Tensor, key: Tensor, value: Tensor, sequences: Sequences, *, scale: float, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """Like torch's kernel: sequence by sequence, keys shared by groups of heads."""
    outputs, lses = [], []
    for looking, seen in pairs(sequences):
        scores = scores_of(query[looking], key[seen], scale=scale, causal=causal)
        lses.append(scores.logsumexp(dim=-1))
        outputs.append((scores.softmax(dim=-1) @ grouped(value[seen], query)).transpose(0, 1))
    return torch.cat(outputs), torch.cat(lses, dim=1)


def plain_backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse_HT: Tensor,
    sequences: Sequences,
    *,
    scale: float,
    causal: bool = False,
) -> tuple[Tensor, ...]:
    """Like torch's kernel: probabilities from scores and the given log-sum-exps."""
    found = tuple(torch.zeros_like(tensor) for tensor in (query, key, value))
    for looking, seen in pairs(sequences):
        keys, values = grouped(key[seen], query), grouped(value[seen], query)
        scores = scores_of(query[looking], key[seen], scale=scale, causal=causal)
        shares = (scores - lse_HT[:, looking, None]).exp()
        given, said = gradient[looking].transpose(0, 1), output[looking].transpose(0, 1)
        to_scores = shares * (given @ values.transpose(1, 2) - (given * said).sum(-1, keepdim=True)) * scale
        found[0][looking] = (to_scores @ keys).transpose(0, 1)
        found[1][seen] = ungrouped(to_scores.transpose(1, 2) @ query[looking].transpose(0, 1), key)
        found[2][seen] = ungrouped(shares.transpose(1, 2) @ given, key)
    return found


def pairs(sequences: Sequences) -> list[tuple[slice, slice]]:
    looking, seen = (list(pairwise(ends.tolist())) for ends in (sequences.ends_looking, sequences.ends_seen))
    assert sequences.longest_looking == max(stop - start for start, stop in looking)
    assert sequences.longest_seen == max(stop - start for start, stop in seen)
    return [(slice(*one), slice(*other)) for one, other in zip(looking, seen, strict=True)]


def scores_of(query: Tensor, key: Tensor, *, scale: float, causal: bool) -> Tensor:
    scores = query.transpose(0, 1) @ grouped(key, query).transpose(1, 2) * scale
    unseen = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1 + key.shape[0] - query.shape[0])
    return scores.masked_fill(unseen, float("-inf")) if causal else scores


def grouped(tensor_THD: Tensor, query: Tensor) -> Tensor:
    return tensor_THD.transpose(0, 1).repeat_interleave(query.shape[1] // tensor_THD.shape[1], dim=0)


def ungrouped(tensor_HTD: Tensor, key: Tensor) -> Tensor:
    return tensor_HTD.unflatten(0, (key.shape[1], -1)).sum(1).transpose(0, 1)


@pytest.fixture(autouse=True)
def plain_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_rows, "_forward", plain_forward)
    monkeypatch.setattr(flash_rows, "_backward", plain_backward)


def apart(spans: Any = SAMPLE, **changes: Any) -> float:
    flash = flash_rows.of_tree(spans, device="cpu")
    return difference(
        lambda *tensors: flash_rows.attend(flash, *tensors, scaling=None).transpose(1, 2),
        torch.float64,
        heads=HEADS,
        **changes,
    )


def test_a_tree_and_its_gradients_are_those_of_masked_attention() -> None:
    assert apart() < 1e-12


def test_a_fault_in_who_sees_whom_shows() -> None:
    (first, *others) = SAMPLE
    assert apart([(first[0], first[1], (30, 8, 20)), *others]) > flash_rows.TOLERANCES[torch.bfloat16]


def test_rows_see_themselves_alone() -> None:
    chance = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(1, number, 9, 8, generator=chance).double() for number in (4, 2, 2))
    together = flash_rows.attend(flash_rows.of_rows([2, 4, 3], device="cpu"), query, key, value, scaling=0.3)
    alone = [
        flash_rows.attend(
            flash_rows.of_rows([stop - start], device="cpu"),
            *(tensor[:, :, start:stop] for tensor in (query, key, value)),
            scaling=0.3,
        )
        for start, stop in ((0, 2), (2, 6), (6, 9))
    ]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), rtol=1e-12, atol=1e-12)


LENGTHS = [4, 1, 6]
READ = {"before the end": [1, 2, 4, 9], "to the end": [2, 3, 4, 8, 9, 10], "of some rows": [0, 1, 2, 4, 5, 6, 7, 8, 9]}


@pytest.mark.parametrize("read", READ)
def test_readers_see_what_all_tokens_of_the_row_would_see_there(read: str) -> None:
    chance = torch.Generator().manual_seed(2)
    query, key, value = (torch.randn(1, number, 11, 8, generator=chance).double() for number in (4, 2, 2))
    everybody = flash_rows.attend(flash_rows.of_rows(LENGTHS, device="cpu"), query, key, value, scaling=0.3)
    read_N = torch.tensor(READ[read])
    readers = flash_rows.of_readers(LENGTHS, read_N)
    assert readers is not None
    found = flash_rows.attend_readers(readers, query[:, :, read_N], key, value, scaling=0.3)
    torch.testing.assert_close(found, everybody[:, read_N], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("read", [[1, 2, 9], [1, 2, 3, 4], [1, 4, 9], [1, 3, 4, 9], [1, 2, 4, 8], [0, 2, 3, 4, 10]])
def test_readers_that_are_not_the_last_of_every_row_go_another_way(read: list[int]) -> None:
    assert flash_rows.of_readers(LENGTHS, torch.tensor(read)) is None


def test_a_kernel_that_lets_the_first_reader_see_one_token_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    place = (torch.device("cpu"), torch.float64, *HEADS)

    def from_the_top(query: Tensor, key: Tensor, *_others: Any, **named: Any) -> Tensor:
        scores = query.transpose(0, 1) @ grouped(key, query).transpose(1, 2) * named["scale"]
        unseen = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
        return scores.masked_fill(unseen, float("-inf")) if named["causal"] else scores

    monkeypatch.setattr(sys.modules[__name__], "scores_of", from_the_top)
    flash_rows.fault.cache_clear()
    assert "differs from plain attention" in flash_rows.fault(*place)
    flash_rows.fault.cache_clear()


def test_a_kernel_that_says_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    place = (torch.device("cpu"), torch.float64, *HEADS)
    flash_rows.fault.cache_clear()
    assert flash_rows.fault(*place) == ""
    monkeypatch.setattr(
        flash_rows, "_backward", lambda *args, **named: tuple(2 * t for t in plain_backward(*args, **named))
    )
    flash_rows.fault.cache_clear()
    assert "differs from plain attention" in flash_rows.fault(*place)
    monkeypatch.setattr(flash_rows, "_forward", lambda *_args, **_named: missing())
    flash_rows.fault.cache_clear()
    assert "cannot be called as it is here: no such kernel" in flash_rows.fault(*place)
    assert caplog.text.count("padded for attention, which is slower") == 2
    flash_rows.fault.cache_clear()


def missing() -> Any:
    raise RuntimeError("no such kernel\nand more")


def test_a_cpu_goes_its_own_ways() -> None:
    flash = flash_rows.of_rows([3], device="cpu")
    query = torch.zeros(1, 2, 3, 8, dtype=torch.bfloat16)
    assert not flash_rows.knows(flash, query, query, window=None, softcap=None)
