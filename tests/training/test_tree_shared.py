"""The tree's CPU kernel, which torch does not promise to keep: compared before its first use, and done without."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training import preference_world
from tests.training.test_tree import largest_difference, loss_and_gradients, reward_model, some_elements
from tests.training.tiny_world import run
from training.engine import models, tree_shared
from training.engine.text import byte_text

RIGHT, RIGHT_BACKWARD = tree_shared._forward, tree_shared._backward


def slightly_off(*args: Any, **named: Any) -> tuple[Tensor, Tensor]:
    output, lse = RIGHT(*args, **named)
    return output * 1.001, lse


def off_backward(*args: Any, **named: Any) -> tuple[Tensor, ...]:
    query, key, value = RIGHT_BACKWARD(*args, **named)
    return query, key * 1.001, value


def blind_behind_its_first_block(query: Tensor, key: Tensor, value: Tensor, **named: Any) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = RIGHT(query, key[:, :, :512], value[:, :, :512], **named)
    return found


def of_other_arguments(query: Tensor) -> Tensor:
    return query


def of_other_results(*args: Any, **named: Any) -> Tensor:
    output: Tensor = RIGHT(*args, **named)[0]
    return output


FAULTS: dict[str, tuple[str, Callable[..., Any] | None, str]] = {
    "missing": ("_forward", None, "has no flash kernel"),
    "missing backward": ("_backward", None, "has no flash kernel"),
    "slightly off": ("_forward", slightly_off, "differs from plain attention by 0.01"),
    "slightly off backward": ("_backward", off_backward, "differs from plain attention by 0.005"),
    "blind behind its first block": ("_forward", blind_behind_its_first_block, "differs from plain attention"),
    "of other arguments": ("_forward", of_other_arguments, "cannot be called"),
    "of other results": ("_forward", of_other_results, "cannot be called"),
}


@pytest.fixture(autouse=True)
def first_use() -> Iterator[None]:
    tree_shared.fault.cache_clear()
    yield
    tree_shared.fault.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_of_this_torch_is_right(dtype: torch.dtype, caplog: pytest.LogCaptureFixture) -> None:
    assert tree_shared.fault(dtype) == ""
    assert caplog.messages == []


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_without_a_right_kernel_the_other_way_is_taken_and_a_warning_says_so_once(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    which, planted, words = FAULTS[name]
    monkeypatch.setattr(tree_shared, which, planted)
    model, elements = reward_model("gpt2"), some_elements()
    _, rows = loss_and_gradients(model, elements, "rows", "remaining_pairs")
    for _ in range(2):
        _, gradients = loss_and_gradients(model, elements, "tree", "remaining_pairs")
        assert largest_difference(gradients, rows) <= 1e-9
    (message,) = caplog.messages
    assert words in message
    assert "slower" in message


def test_the_first_use_changes_nothing_that_is_drawn_or_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come within a layer whose saved tensors are counted (recomputed activations), or without a graph."""
    model, elements = reward_model("gpt2"), some_elements()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.train()
    state = torch.get_rng_state()
    _, first = loss_and_gradients(model, elements, "tree", "remaining_pairs")
    assert torch.equal(torch.get_rng_state(), state)
    assert tree_shared.fault.cache_info().currsize == 1
    _, second = loss_and_gradients(model, elements, "tree", "remaining_pairs")
    assert largest_difference(first, second) == 0.0
    tree_shared.fault.cache_clear()
    with torch.no_grad():
        assert tree_shared.fault(torch.float32) == ""


def test_the_runs_log_has_the_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_shared, "_forward", None)
    text = byte_text()
    policy = models.build_tiny(text, num_layers=2, width=16, num_heads=2, context=64, seed=1)
    models.save_model(policy, text, tmp_path / "policy")
    snapshots = preference_world.build(tmp_path, num_prompts=5)
    lengths = {"max_prompt_tokens": 32, "max_response_tokens": 32}
    values = {"init_model": str(tmp_path / "policy"), "dataset": str(snapshots.reward), "max_steps": 1} | lengths
    assert run("reward", values, tmp_path / "run") == 0
    lines = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert len([line for line in lines if "trees are computed with masks" in line]) == 1
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "succeeded"
