"""LoRA adapters: what learns, what is frozen, what a checkpoint keeps, and that the merged model is a plain one."""

import copy
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from tests.training.test_tree import CONFIGS, TEXT
from training.engine import adapters, packing, scoring
from training.engine.checkpoints import CheckpointError

ROWS = scoring.episodes([[1, 2, 3], [4]], [[5, 6], [7, 8, 9]], pad_token_id=TEXT.pad_id)


def policy(family: str = "gpt2") -> Any:
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(CONFIGS[family]()).eval()


def scorer(family: str = "gpt2") -> Any:
    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_config(CONFIGS[family]()).eval()


def learn_a_little(model: Any) -> None:
    """Move every weight that learns."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)


def logprobs(model: Any) -> Tensor:
    return scoring.response_logprobs(model, ROWS, temperature=1.0).detach()


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
def test_a_model_with_fresh_adapters_says_what_it_said_and_only_the_adapters_learn(family: str) -> None:
    model = policy(family)
    before = logprobs(model)
    adapters.add(model, rank=2, alpha=4.0, seed=0)
    assert torch.equal(logprobs(model), before)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert names
    assert all("lora_" in name for name in names)
    assert not any("lm_head" in name or "wte" in name or "embed" in name for name in names)


def test_the_scalar_head_goes_on_learning() -> None:
    model = scorer()
    adapters.add(model, rank=2, alpha=4.0, seed=0)
    assert model.score.weight.requires_grad
    assert not model.transformer.wte.weight.requires_grad


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_merged_model_is_plain_and_says_the_same(family: str) -> None:
    model = policy(family)
    names = set(model.state_dict())
    adapters.add(model, rank=2, alpha=4.0, seed=0)
    before = logprobs(model)
    learn_a_little(model)
    learned = logprobs(model)
    assert (learned - before).abs().max() > 1e-3
    adapters.merge(model)
    assert not adapters.has_adapters(model)
    assert set(model.state_dict()) == names
    torch.testing.assert_close(logprobs(model), learned, atol=1e-5, rtol=0)


def test_a_checkpoint_keeps_what_learns_and_nothing_else() -> None:
    model, other = scorer(), scorer()
    for each in (model, other):
        adapters.add(each, rank=2, alpha=4.0, seed=0)
    learn_a_little(model)
    kept = {name: tensor.detach().clone() for name, tensor in adapters.state(model).items()}
    assert sum(tensor.numel() for tensor in kept.values()) < 0.2 * sum(item.numel() for item in model.parameters())
    adapters.load_state(other, kept)
    assert torch.equal(scoring.end_scores(other, ROWS), scoring.end_scores(model, ROWS))
    with pytest.raises(CheckpointError, match="other weights"):
        adapters.load_state(other, {"score.weight": kept["score.weight"]})


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_view_without_adapters_stays_as_the_model_was_while_the_model_learns(is_packed: bool) -> None:
    model, value = policy(), scorer()
    for each in (model, value):
        if is_packed:
            packing.enable(each)
    reference_before, reward_before = logprobs(model), scoring.end_scores(value, ROWS).detach()
    for each in (model, value):
        adapters.add(each, rank=2, alpha=4.0, seed=0)
    reference, reward = adapters.WithoutAdapters(model), adapters.WithoutAdapters(value)
    for each in (model, value):
        learn_a_little(each)
    learned = logprobs(model)
    assert torch.equal(logprobs(reference), reference_before)
    assert torch.equal(scoring.end_scores(reward, ROWS), reward_before)
    assert torch.equal(logprobs(model), learned)  # the adapters are on again
    assert not torch.equal(scoring.end_scores(value, ROWS), reward_before)
    assert all(parameter.requires_grad == ("lora_" in name) for name, parameter in model.named_parameters())


def test_a_model_without_adapters_is_left_alone() -> None:
    model = policy()
    before = copy.deepcopy(model.state_dict())
    adapters.merge(model)
    assert adapters.state(model).keys() == before.keys()
    adapters.load_state(model, before)
    assert not adapters.has_adapters(model)
