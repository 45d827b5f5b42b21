"""GELU written out gives the numbers of torch and transformers, value and derivative, whatever the size."""

import copy
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.activations import GELUTanh, NewGELUActivation

from training.engine import adapters, gelu, models
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


@pytest.mark.parametrize("shape", [(5,), (3, 7, 11), (2, gelu.PIECE * torch.get_num_threads() - 3), (700, 200), (0, 4)])
def test_a_bias_is_added_first(shape: tuple[int, ...]) -> None:
    inputs = some_inputs(shape)
    for frozen in (None, "given", "bias"):
        bias, other_bias = (torch.linspace(-1, 1, shape[-1], dtype=torch.float64).requires_grad_() for _ in range(2))
        given, other = (inputs.clone().requires_grad_() for _ in range(2))
        for tensor in {None: (), "given": (given, other), "bias": (bias, other_bias)}[frozen]:
            tensor.requires_grad_(False)
        found = gelu.TanhGELU()(1.0 * given, bias)
        expected = torch.nn.GELU("tanh")(other + other_bias)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
        weights = torch.linspace(-1, 2, expected.numel(), dtype=torch.float64).view_as(expected)
        (found * weights).sum().backward()
        (expected * weights).sum().backward()
        for one, two in ((given.grad, other.grad), (bias.grad, other_bias.grad)):
            assert (one is None) == (two is None)
            if one is not None:
                torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(gelu.TanhGELU()(inputs.clone(), bias), expected, rtol=1e-13, atol=1e-13)


def test_gpt_2_leaves_its_bias_to_it_unless_adapters_or_another_precision_are_in_the_way() -> None:
    text = byte_text()
    plain = models.build_tiny(text, num_layers=2, width=16, num_heads=2, context=32, seed=0).double().eval()
    draw_biases(plain)
    fused = copy.deepcopy(plain)
    gelu.fuse(fused)
    fused = copy.deepcopy(fused)  # what was patched belongs to the copy
    tokens = torch.arange(1, 25).view(3, 8)
    products = []
    for model in (plain, fused):
        with Products() as counted:
            loss = model(tokens).logits.square().mean()
        loss.backward()
        products.append(counted.with_bias)
    assert products[0] - products[1] == 2  # of two layers
    for (name, expected), found in zip(plain.named_parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-10, atol=1e-14, msg=name)
    plain.float(), fused.float()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        with Products() as counted:
            found = fused(tokens).logits
        assert counted.with_bias == products[0]  # its own code: the whole layer stays in bf16
        torch.testing.assert_close(found, plain(tokens).logits, rtol=0.03, atol=0.03)
    for model in (plain, fused):
        adapters.add(model, rank=2, alpha=4.0, seed=0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fused(tokens).logits, plain(tokens).logits, rtol=1e-4, atol=1e-5)


def draw_biases(model: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, generator=generator)


class Products(TorchDispatchMode):
    """Counts products that begin with a bias."""

    with_bias = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.with_bias += function is torch.ops.aten.addmm.default
        return function(*args, **(kwargs or {}))
