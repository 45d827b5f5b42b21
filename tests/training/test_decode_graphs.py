"""Decode steps of fixed shape beside those over a growing cache. What a CUDA graph adds, replaying, needs a GPU."""

from typing import Any

import pytest
import torch
import transformers

from tests.training.test_tree import CONFIGS
from training.engine import decode_graphs, kv_cache, models, rollout
from training.engine.decode_graphs import DecodeGraphs
from training.engine.text import byte_text

TEXT = byte_text()
PROMPTS = [[5 + number] * (3 + 11 * number) for number in range(9)]
NUM_TOKENS = 90  # prompts and responses cross the first 128 places


def small(family: str = "gpt2", num_layers: int = 0) -> Any:
    config = CONFIGS[family]()
    config.num_hidden_layers = num_layers or config.num_hidden_layers
    config.vocab_size, config.pad_token_id, config.eos_token_id = len(TEXT), TEXT.pad_id, TEXT.end_id
    setattr(config, "n_positions" if family == "gpt2" else "max_position_embeddings", 256)
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    models.set_residual_dropout(model, 0.0)
    return likely_to_end(model)


def likely_to_end(model: Any) -> Any:
    """Rows end at different times, most of them early."""
    head = model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(len(TEXT)))
    with torch.no_grad():
        head.bias[TEXT.end_id] = 2.5
    return model


def answers(
    model: Any, graphs: DecodeGraphs | None, *, prompts: list[list[int]] = PROMPTS, num_samples: int = 3, seed: int = 1
) -> rollout.Responses:
    names = [f"{number}/{k}" for number in range(len(prompts)) for k in range(num_samples)]
    uniforms = rollout.row_uniforms(names, seed=seed, num_draws=NUM_TOKENS)
    rule = rollout.SamplingRule(end_token_id=TEXT.end_id, pad_token_id=TEXT.pad_id, max_new_tokens=NUM_TOKENS)
    return rollout.sample(model, prompts, uniforms, rule=rule, num_samples=num_samples, graphs=graphs)


def assert_same(found: rollout.Responses, wanted: rollout.Responses) -> None:
    assert torch.equal(found.tokens_BR, wanted.tokens_BR)
    assert torch.equal(found.lengths_B, wanted.lengths_B)
    assert torch.equal(found.has_end_B, wanted.has_end_B)
    torch.testing.assert_close(found.logprobs_BR, wanted.logprobs_BR, rtol=0, atol=5e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
def test_steps_of_fixed_shape_say_what_the_growing_cache_says(family: str) -> None:
    model = small(family)
    graphs = DecodeGraphs(model, captures=False)
    for seed, prompts in ((1, PROMPTS), (2, PROMPTS[3:]), (3, PROMPTS[:2])):  # the blocks of the first are used again
        wanted = answers(model, None, prompts=prompts, seed=seed)
        assert len(set(wanted.lengths_B.tolist())) > 3
        assert_same(answers(model, graphs, prompts=prompts, seed=seed), wanted)
    assert graphs.refused == ""


@pytest.mark.parametrize(("num_layers", "tolerance"), [(2, 1e-3), (48, 2e-3)])
def test_deep_models_may_round_more(num_layers: int, tolerance: float) -> None:
    model, said = small(num_layers=num_layers), []
    graphs = DecodeGraphs(model, say=said.append, captures=False)
    answers(model, graphs)
    logits = torch.ones(4, 9)
    graphs.compare(logits * (1 + 0.9 * tolerance), logits)
    assert said == []
    graphs.compare(logits * (1 + 1.1 * tolerance), logits)
    assert f"by {1.1 * tolerance:.1e}" in graphs.refused


def test_rows_that_end_make_the_step_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes = small(), []
    compute = decode_graphs._Board._compute
    monkeypatch.setattr(
        decode_graphs._Board, "_compute", lambda own, *shape: (shapes.append(shape), compute(own, *shape))[1]
    )
    answers(model, DecodeGraphs(model, captures=False))
    assert [rows for rows, _ in shapes] == sorted((rows for rows, _ in shapes), reverse=True)
    assert {rows for rows, _ in shapes} == {27, 14, 7}
    assert {places for _, places in shapes} == {128, 256}


def test_weights_that_have_learnt_are_cast_anew() -> None:
    model = small()
    graphs = DecodeGraphs(model, captures=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = answers(model, graphs)
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight.mul_(-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        after, wanted = answers(model, graphs), answers(model, None)
    assert not torch.equal(before.tokens_BR, after.tokens_BR)
    first = slice(None), slice(0, 2)  # later tokens may fall on the other side of a rounding
    assert (after.tokens_BR[first] == wanted.tokens_BR[first]).float().mean() > 0.9
    assert all(weight.dtype == torch.float32 and weight.requires_grad for weight in model.parameters())


def test_a_first_step_that_differs_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model, said = small(), []
    monkeypatch.setattr(decode_graphs._Layer, "get_seq_length", lambda _: 0)
    graphs = DecodeGraphs(model, say=said.append, captures=False)
    fill = decode_graphs._Board.fill

    def forgetful(board: Any, *args: Any) -> None:
        fill(board, *args)
        board._mask_B11T[:, :, :, :5] = False

    monkeypatch.setattr(decode_graphs._Board, "fill", forgetful)
    wanted = answers(model, None)
    assert_same(answers(model, graphs), wanted)
    assert "differs from the same step without a graph" in graphs.refused
    assert said == [f"sampling goes without CUDA graphs: {graphs.refused}"]
    assert_same(answers(model, graphs), wanted)
    assert len(said) == 1


def test_a_step_that_cannot_be_recorded_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model, said = small(), []
    graphs = DecodeGraphs(model, say=said.append, captures=False)

    def waits(*_args: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(decode_graphs._Board, "step", waits)
    assert_same(answers(model, graphs), answers(model, None))
    assert said == [
        "sampling goes without CUDA graphs: a step cannot be recorded: operation not permitted when stream is capturing"
    ]


def test_a_window_is_not_replayed() -> None:
    config = CONFIGS["gemma3_text"]()
    model: Any = transformers.AutoModelForCausalLM.from_config(config).eval()
    graphs = DecodeGraphs(model, say=lambda _: None, captures=False)
    mask = torch.ones(1, 3, dtype=torch.bool)
    cache = model(input_ids=torch.tensor([[1, 2, 3]]), use_cache=True).past_key_values
    assert graphs.begin(cache, mask, num_samples=1, num_tokens=4) is None
    assert graphs.refused == "a layer of this model sees a window, or is no attention"


def test_prompts_keys_are_left_as_they_were() -> None:
    """The growing cache goes on from the same prompt when the first step is compared."""
    model = small()
    prompt, mask = rollout.left_padded(PROMPTS[:2], TEXT.pad_id, device="cpu")
    with torch.no_grad():
        cache = model(input_ids=prompt, attention_mask=mask.long(), use_cache=True).past_key_values
        before = [layer.keys.clone() for layer in cache.layers]
        steps = DecodeGraphs(model, captures=False).begin(cache, mask, num_samples=2, num_tokens=3)
        assert steps is not None
        steps.advance(torch.tensor([4, 5, 6, 7]))
    assert all(torch.equal(layer.keys, was) for layer, was in zip(cache.layers, before, strict=True))
    kv_cache.make_room(cache, num_repeats=2)


def test_a_cpu_records_nothing() -> None:
    assert decode_graphs.where_possible(small(), torch.device("cpu"), say=print) is None
