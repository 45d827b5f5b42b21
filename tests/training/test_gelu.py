"""GELU written out gives the numbers of torch and transformers, value and derivative, whatever the size."""

import pytest
import torch
from transformers.activations import GELUTanh, NewGELUActivation

from training.engine import gelu, models
from training.engine.text import byte_text


def value_and_gradient(function: torch.nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    given = inputs.clone().requires_grad_()
    value = function(1.0 * given)
    weights = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view_as(value)
    (gradient,) = torch.autograd.grad((value * weights).sum(), given)
    return value.detach(), gradient


def some_inputs(shape: tuple[int, ...]) -> torch.Tensor:
    torch.manual_seed(0)
    inputs = 3 * torch.randn(shape, dtype=torch.float64)
    if inputs.numel() > 8:
        inputs.view(-1)[:8] = torch.tensor([0.0, -0.0, 1e-30, -1e-8, 40.0, -40.0, 1e6, -1e6])
    return inputs


@pytest.mark.parametrize("shape", [(5,), (3, 7, 11), (2, gelu.PIECE - 3), (0, 4)])
def test_it_is_the_function_of_gpt_2_and_its_derivative(shape: tuple[int, ...]) -> None:
    inputs = some_inputs(shape)
    ours = value_and_gradient(gelu.TanhGELU(), inputs)
    for function in (NewGELUActivation(), torch.nn.GELU(approximate="tanh")):
        for found, expected in zip(ours, value_and_gradient(function, inputs), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(gelu.TanhGELU()(inputs.clone()), ours[0], rtol=0, atol=1e-15)  # without a graph


def test_in_fp32_it_differs_by_rounding_alone() -> None:
    inputs = some_inputs((40, 1000)).clamp(-20, 20)
    ours, truth = (value_and_gradient(gelu.TanhGELU(), given) for given in (inputs.float(), inputs.float().double()))
    for found, right in zip(ours, truth, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), right, rtol=1e-5, atol=5e-6)


def test_an_input_that_something_else_kept_is_an_error_and_a_leaf_is_left_alone() -> None:
    given = some_inputs((4, 5)).requires_grad_()
    before = given.detach().clone()
    gelu.TanhGELU()(given).sum().backward()
    assert torch.equal(given.detach(), before)
    between = given.exp()  # keeps its result
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gelu.TanhGELU()(between).sum().backward()


def test_a_tensor_that_is_not_laid_out_in_one_piece_is_read_right() -> None:
    inputs = some_inputs((6, 8))

    class Turned(torch.nn.Module):
        def __init__(self, function: torch.nn.Module) -> None:
            super().__init__()
            self.function = function

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.function(given.t()[1:])

    for found, expected in zip(
        value_and_gradient(Turned(gelu.TanhGELU()), inputs),
        value_and_gradient(Turned(torch.nn.GELU("tanh")), inputs),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_models_have_it_instead_of_those_of_transformers(tmp_path_factory: pytest.TempPathFactory) -> None:
    text, folder = byte_text(), tmp_path_factory.mktemp("model")
    for name in ("gelu_new", "gelu_pytorch_tanh"):
        model = models.build_tiny(text, num_layers=2, width=16, num_heads=2, context=32, seed=0)
        model.config.activation_function = name
        models.save_model(model, text, folder)
        loaded = models.load_policy(str(folder), text)
        kinds = [type(module) for module in loaded.modules()]
        assert kinds.count(gelu.TanhGELU) == 2
        assert not {NewGELUActivation, GELUTanh} & set(kinds)
        tokens = torch.arange(1, 9)[None]
        torch.testing.assert_close(loaded(tokens).logits, model(tokens).logits, rtol=0, atol=1e-6)
