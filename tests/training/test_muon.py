"""Muon on a CPU: torch's, but for the precision of its products."""

import copy
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from training.engine.muon import Muon, orthogonal

SHAPES = ((6, 6), (4, 9), (9, 4))
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Dtypes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Which dtypes operations make."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.seen |= {made.dtype} if isinstance(made, torch.Tensor) else set()
        return made


def matrices(dtype: torch.dtype = torch.float32) -> list[torch.nn.Parameter]:
    source = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=source).to(dtype)) for shape in SHAPES]


def learned(kind: type[torch.optim.Muon], given: list[torch.nn.Parameter], num_steps: int, **options: Any) -> Any:
    own = copy.deepcopy(given)
    optimizer = kind(own, lr=0.1, momentum=0.9, **options)
    source = torch.Generator().manual_seed(1)
    for _ in range(num_steps):
        for item in own:
            item.grad = torch.randn(item.shape, generator=source).to(item.dtype)
        optimizer.step()  # type: ignore[no-untyped-call]
    return own, optimizer


@pytest.mark.parametrize("options", [{}, {"nesterov": False}, {"weight_decay": 0.0, "ns_steps": 3}])
def test_it_is_torchs_up_to_the_precision_of_bf16(options: dict[str, Any]) -> None:
    given = matrices()
    ours, _ = learned(Muon, given, 4, **options)
    theirs, _ = learned(torch.optim.Muon, given, 4, **options)
    for mine, other, start in zip(ours, theirs, given, strict=True):
        assert (mine - other).norm() < 0.02 * (other - start).norm()


@pytest.mark.parametrize("options", [{}, {"nesterov": False}, {"weight_decay": 0.0, "ns_steps": 3}])
def test_it_is_torchs_to_the_last_digits_where_torchs_keeps_its_precision(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = matrices(torch.float64)
    ours, _ = learned(Muon, given, 4, **options)
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    theirs, _ = learned(torch.optim.Muon, given, 4, **options)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_nothing_is_computed_in_bf16() -> None:
    with Dtypes() as dtypes:
        learned(Muon, matrices(), 1)
    assert torch.float32 in dtypes.seen
    assert torch.bfloat16 not in dtypes.seen


def test_it_goes_on_from_what_torchs_has_kept() -> None:
    given, theirs = learned(torch.optim.Muon, matrices(), 2)
    ours = Muon(given, lr=0.5)
    ours.load_state_dict(theirs.state_dict())
    assert ours.param_groups[0]["lr"] == 0.1
    for item in given:
        assert torch.equal(ours.state[item]["momentum_buffer"], theirs.state[item]["momentum_buffer"])


def test_a_matrix_without_a_gradient_stays_and_a_closure_is_asked() -> None:
    first, second = matrices()[:2]
    before = second.detach().clone()
    optimizer = Muon([first, second], lr=0.1)

    def closure() -> torch.Tensor:
        loss = first.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    assert optimizer.step(closure) > 0
    assert torch.equal(second, before)


@pytest.mark.parametrize("shape", [(16, 16), (16, 48), (48, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    found = orthogonal(matrix, COEFFICIENTS, num_steps=5)
    values = torch.linalg.svdvals(found)
    assert found.shape == shape
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_a_gradient_of_zeros_is_no_division_by_zero() -> None:
    assert torch.equal(orthogonal(torch.zeros(3, 5), COEFFICIENTS, num_steps=5), torch.zeros(3, 5))
