"""The schedule's ends, clipping, and numbers that are not finite."""

import pytest
import torch

from training.contract.configs import RewardConfig
from training.engine.optim import (
    ADAMW_SHARE,
    NonFiniteError,
    adamw,
    check_finite,
    cosine_lr,
    muon_and_adamw,
    optimiser_step,
)


def rate(step: int, **changes: float) -> float:
    values = {"num_steps": 101, "peak": 1.0, "final_fraction": 0.1, "warmup_steps": 0} | changes
    return cosine_lr(step, **values)  # type: ignore[arg-type]


def test_the_cosine_starts_at_the_peak_and_ends_at_a_tenth() -> None:
    assert rate(0) == 1.0
    assert rate(50) == pytest.approx(0.55)
    assert rate(100) == pytest.approx(0.1)
    assert all(rate(step) > rate(step + 1) for step in range(100))


def test_the_warm_up_is_linear_and_reaches_the_peak() -> None:
    assert [rate(step, warmup_steps=4) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_run_of_one_step_has_the_peak() -> None:
    assert rate(0, num_steps=1) == 1.0


def model_with_gradient(value: float) -> torch.nn.Linear:
    model = torch.nn.Linear(2, 2)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, value)
    return model


def test_a_step_clips_sets_the_rate_and_clears() -> None:
    model = model_with_gradient(10.0)
    optimizer = adamw(model, RewardConfig(init_model="m", dataset="d"))
    norm = optimiser_step([optimizer], learning_rate=0.25, max_grad_norm=1.0, batch=dict)
    assert norm == pytest.approx((6 * 100.0) ** 0.5)
    assert {group["lr"] for group in optimizer.param_groups} == {0.25}
    assert all(parameter.grad is None for parameter in model.parameters())


def test_weight_decay_spares_biases() -> None:
    optimizer = adamw(torch.nn.Linear(2, 2), RewardConfig(init_model="m", dataset="d", weight_decay=0.1))
    assert [(group["weight_decay"], group["params"][0].ndim) for group in optimizer.param_groups] == [
        (0.1, 2),
        (0.0, 1),
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_before_a_weight_changes(value: float) -> None:
    model = model_with_gradient(value)
    before = model.weight.detach().clone()
    batch = {"input_ids": torch.tensor([[1, 2]])}
    optimizer = adamw(model, RewardConfig(init_model="m", dataset="d"))
    with pytest.raises(NonFiniteError) as caught:
        optimiser_step([optimizer], learning_rate=0.1, max_grad_norm=1.0, batch=lambda: batch)
    assert torch.equal(model.weight, before)
    assert caught.value.tensors.keys() == batch.keys()


def test_a_loss_that_is_not_finite_is_named() -> None:
    check_finite("sft/loss", 1.0, dict)
    with pytest.raises(NonFiniteError, match="sft/loss is nan"):
        check_finite("sft/loss", float("nan"), dict)


def test_muon_learns_the_matrices_of_the_layers_and_adamw_the_rest_at_its_share() -> None:
    from training.engine.models import build_tiny
    from training.engine.text import byte_text

    model = build_tiny(byte_text(), num_layers=1, width=16, num_heads=2, context=32, seed=0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    muon, others = muon_and_adamw(model, RewardConfig(init_model="m", dataset="d"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    matrices = {names[id(item)] for item in muon.param_groups[0]["params"]}
    layer = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    assert matrices == {f"transformer.h.0.{name}.weight" for name in layer}
    assert len(others.param_groups[0]["params"]) + len(matrices) == len(names)
    optimiser_step([muon, others], learning_rate=0.1, max_grad_norm=1.0, batch=dict)
    assert muon.param_groups[0]["lr"] == 0.1
    assert others.param_groups[0]["lr"] == pytest.approx(0.1 * ADAMW_SHARE)
