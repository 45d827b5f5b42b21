"""Prompts read as one packed row leave what prompts padded on the left leave: logits, keys and values."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from transformers.cache_utils import DynamicCache, DynamicLayer

from tests.training.test_packing import causal_model, way  # noqa: F401  # a fixture
from tests.training.test_tree import CONFIGS, LLAMA_LIKE, all_in_fp64  # noqa: F401  # a fixture
from training.engine import packing, rollout
from training.engine.attention import FAMILIES
from training.engine.prefill import Prefill, prefill

PAD, END = 0, 1
ALL_SEE_ALL = "gemma2 without windows"


def some_prompts(seed: int, *, num: int = 6, longest: int = 20) -> list[list[int]]:
    draw = random.Random(seed)
    lengths = [1, longest, *(draw.randint(1, longest) for _ in range(num - 2))]
    return [[draw.randrange(2, 256) for _ in range(length)] for length in lengths]


def both_ways(model: Any, prompts: list[list[int]]) -> tuple[Prefill, Prefill]:
    ids_NP, mask_NP = rollout.left_padded(prompts, PAD, device="cpu")
    with torch.no_grad():
        padded = prefill(model, ids_NP, mask_NP)
        packing.enable(model)
        return padded, prefill(model, ids_NP, mask_NP)


def largest_difference(padded: Prefill, packed: Prefill) -> float:
    """Of the logits, and of keys and values where there are tokens."""
    pairs = [(padded.logits_NV, packed.logits_NV)]
    for theirs, ours in zip(padded.cache.layers, packed.cache.layers, strict=True):
        assert ours.keys.shape == theirs.keys.shape
        kept = padded.mask_NP[:, -ours.keys.shape[2] :]  # a window keeps its last tokens alone
        pairs += [(theirs.keys.transpose(1, 2)[kept], ours.keys.transpose(1, 2)[kept])]
        pairs += [(theirs.values.transpose(1, 2)[kept], ours.values.transpose(1, 2)[kept])]
    return max(float((ours - theirs).abs().max() / theirs.abs().max()) for theirs, ours in pairs)


def is_plain(family: str) -> bool:
    layers = DynamicCache(config=causal_model(family).config).layers
    return all(type(layer) is DynamicLayer for layer in layers)


@pytest.mark.parametrize("family", sorted(FAMILIES & CONFIGS.keys()))
@pytest.mark.usefixtures("all_in_fp64", "way")
def test_packed_prompts_leave_what_padded_ones_leave(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    rows = packing.rows
    monkeypatch.setattr(packing, "rows", lambda *args, **named: made.append(1) or rows(*args, **named))
    difference = largest_difference(*both_ways(causal_model(family), some_prompts(0)))
    assert difference < (2e-6 if family == "gemma2" else 1e-12)
    assert bool(made) == is_plain(family)  # those with a window read padded prompts


def test_a_prompt_that_sees_its_neighbour_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    layout_of = packing.layout_of

    def joined(lengths: list[int], *, device: Any) -> packing.Layout:
        right, leaking = layout_of(lengths, device=device), layout_of([sum(lengths)], device=device)
        return replace(leaking, starts_B=right.starts_B)

    assert largest_difference(*both_ways(causal_model("gpt2"), some_prompts(0))) < 1e-6
    monkeypatch.setattr(packing, "layout_of", joined)
    assert largest_difference(*both_ways(causal_model("gpt2"), some_prompts(0))) > 1e-3


@pytest.mark.parametrize("family", [*sorted(FAMILIES & CONFIGS.keys()), ALL_SEE_ALL])
def test_samples_are_the_same_from_packed_and_from_padded_prompts(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGS, ALL_SEE_ALL, gemma2_without_windows)
    model, prompts = causal_model(family).float(), some_prompts(1)
    names = [f"{number}/{sample}" for number in range(len(prompts)) for sample in range(3)]
    uniforms = rollout.row_uniforms(names, seed=3, num_draws=20)
    rule = rollout.SamplingRule(end_token_id=END, pad_token_id=PAD, max_new_tokens=20, temperature=3.0)
    said = rollout.sample(model, prompts, uniforms, rule=rule, num_samples=3).tokens_BR
    rule = replace(rule, end_token_id=int(said[said != PAD].mode().values))  # many rows end early
    padded = rollout.sample(model, prompts, uniforms, rule=rule, num_samples=3)
    packing.enable(model)
    masks = masks_of_steps(model)
    packed = rollout.sample(model, prompts, uniforms, rule=rule, num_samples=3)
    assert len(set(padded.lengths_B.tolist())) > 2  # rows left at different times
    assert torch.equal(packed.tokens_BR, padded.tokens_BR)
    torch.testing.assert_close(packed.logprobs_BR, padded.logprobs_BR, rtol=0, atol=1e-5)
    assert {mask.ndim for mask in masks} == {4 if is_plain(family) else 2}  # a window needs a mask of its own


def gemma2_without_windows() -> Any:
    return transformers.Gemma2Config(**LLAMA_LIKE, layer_types=["full_attention"] * 2)


def masks_of_steps(model: Any) -> list[torch.Tensor]:
    """The masks that come with one token of each row, in a list that fills."""
    masks: list[torch.Tensor] = []

    def look(_module: Any, _args: Any, named: dict[str, Any]) -> None:
        if named["input_ids"].shape[1] == 1:
            masks.append(named["attention_mask"])

    model.register_forward_pre_hook(look, with_kwargs=True)
    return masks
