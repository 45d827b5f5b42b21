"""Packed rows say what padded rows say, to the last digits of fp64; a row sees itself alone."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.training.test_flash_rows import plain_backward, plain_forward
from tests.training.test_tree import CONFIGS, TEXT, all_in_fp64  # noqa: F401  # a fixture
from training.engine import flash_rows, last_layer, packing, row_attention, scoring
from training.engine.attention import FAMILIES


@pytest.fixture(params=["row by row", "in groups", "as a GPU does"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways to compute attention: of short rows on a CPU, of all others, and by a kernel like the flash one."""
    if request.param != "row by row":
        monkeypatch.setattr(row_attention, "LONGEST", 0)
    if request.param == "as a GPU does":
        monkeypatch.setattr(flash_rows, "is_for", lambda _device: True)
        monkeypatch.setattr(flash_rows, "knows", takes)
        monkeypatch.setattr(flash_rows, "_forward", plain_forward)
        monkeypatch.setattr(flash_rows, "_backward", plain_backward)
    return str(request.param)


def takes(flash: flash_rows.Flash, _query: Tensor, _key: Tensor, *, window: int | None, softcap: float | None) -> bool:
    return softcap is None and (window is None or window >= flash.longest)


def causal_model(family: str) -> Any:
    """A small model in fp64 with larger weights than usual, so that a token that sees too much would show."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[family]()).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    return model


def some_episodes(seed: int, *, num_rows: int = 7, longest: int = 30) -> scoring.Episodes:
    draw = random.Random(seed)
    prompts = [[draw.randrange(256) for _ in range(draw.randint(1, longest))] for _ in range(num_rows)]
    responses = [[draw.randrange(256) for _ in range(draw.randint(1, longest))] for _ in range(num_rows)]
    return scoring.episodes(prompts, responses, pad_token_id=TEXT.pad_id)


def loss_and_gradients(model: Any, batch: scoring.Episodes, *, alone: bool = False) -> tuple[float, list[Tensor]]:
    """Of the whole batch; `alone`: row by row, so that nothing stands beside a row, not even padding."""
    model.zero_grad(set_to_none=True)
    total = 0.0
    for rows in torch.split(torch.arange(len(batch)), 1 if alone else len(batch)):
        logprobs = scoring.response_logprobs(model, batch.rows(rows), temperature=1.0)
        loss = -logprobs.sum() / int(batch.mask_BR.sum())
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total, [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


def largest_difference(family: str, *, seed: int = 0) -> float:
    """Of the loss and of every gradient, relative to the largest number of each."""
    model, batch = causal_model(family), some_episodes(seed)
    plain_loss, plain = loss_and_gradients(model, batch, alone=True)
    packing.enable(model)
    packed_loss, packed = loss_and_gradients(model, batch)
    pairs = zip(packed, plain, strict=True)
    differences = [float((ours - theirs).abs().max() / theirs.abs().max()) for ours, theirs in pairs]
    return max([abs(packed_loss - plain_loss) / plain_loss, *differences])


@pytest.mark.parametrize("family", sorted(FAMILIES & CONFIGS.keys()))
@pytest.mark.usefixtures("all_in_fp64", "way")
def test_packing_changes_neither_the_loss_nor_a_gradient(family: str) -> None:
    for seed in range(2):
        bound = 2e-6 if family == "gemma2" else 1e-12  # transformers' own attention of Gemma 2 has an fp32 softmax
        assert largest_difference(family, seed=seed) < bound


@pytest.mark.usefixtures("way")
def test_a_row_that_sees_its_neighbour_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    layout_of = packing.layout_of
    monkeypatch.setattr(row_attention, "LONGEST", 2 * row_attention.LONGEST)  # of all rows as one

    def leaking(lengths: list[int], *, device: Any = "cpu") -> packing.Layout:
        right, joined = layout_of(lengths, device=device), layout_of([sum(lengths)], device=device)
        return replace(right, padded=joined.padded, rows=joined.rows, flash=joined.flash)

    monkeypatch.setattr(packing, "layout_of", leaking)
    assert largest_difference("gpt2") > 1e-3


def test_a_reader_that_sees_one_token_too_many_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = last_layer.Readers.mask

    def further(self: last_layer.Readers, width: int, window: int | None) -> Tensor:
        return mask(replace(self, position_GR=self.position_GR + 1), width, window)

    monkeypatch.setattr(row_attention, "LONGEST", 0)
    assert largest_difference("gpt2") < 1e-6
    monkeypatch.setattr(last_layer.Readers, "mask", further)
    assert largest_difference("gpt2") > 1e-3


def test_rows_are_laid_out_once_for_all_models_that_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    layout_of = packing.layout_of
    monkeypatch.setattr(packing, "layout_of", lambda *args, **named: made.append(1) or layout_of(*args, **named))
    batch = some_episodes(0)
    for _ in range(2):
        model = causal_model("gpt2")
        packing.enable(model)
        scoring.response_logprobs(model, batch, temperature=1.0)
    assert len(made) == 1


def test_a_reader_of_a_row_that_sees_one_token_too_many_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    triu = Tensor.triu
    monkeypatch.setattr(Tensor, "triu", lambda self, diagonal: triu(self, diagonal + 1))
    assert largest_difference("gpt2") > 1e-3


@pytest.mark.parametrize("way", ["as a GPU does"], indirect=True)
@pytest.mark.usefixtures("all_in_fp64", "way")
def test_what_the_kernel_takes_is_not_laid_out_for_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(packing.Padded, "_laid_out")
    assert largest_difference("gpt2") < 1e-12


@pytest.mark.usefixtures("all_in_fp64")
def test_a_row_that_is_too_long_a_window_and_another_precision_go_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    attend = packing.attend
    monkeypatch.setattr(packing, "attend", lambda *args, **named: asked.append(1) or attend(*args, **named))
    model, batch = causal_model("gpt2"), some_episodes(0)
    packing.enable(model)
    expected = scoring.response_logprobs(model, batch, temperature=1.0)
    assert not asked
    longest = int(batch.attention_mask_BT.sum(dim=1).amax())
    monkeypatch.setattr(row_attention, "LONGEST", longest - 1)
    again = replace(batch)  # rows are laid out once
    torch.testing.assert_close(scoring.response_logprobs(model, again, temperature=1.0), expected)
    assert asked
    rows = row_attention.rows_of([3, 5])
    query = torch.zeros(1, 2, 8, 4)
    assert row_attention.is_possible(rows, query, window=5, softcap=None)
    assert not row_attention.is_possible(rows, query, window=4, softcap=None)
    assert not row_attention.is_possible(rows, query, window=None, softcap=30.0)
    assert not row_attention.is_possible(rows, query.bfloat16(), window=None, softcap=None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not row_attention.is_possible(rows, query, window=None, softcap=None)


def test_the_last_layer_computes_the_tokens_that_are_read_alone() -> None:
    model, batch = causal_model("llama"), some_episodes(0)
    packing.enable(model)
    seen: list[int] = []
    model.model.layers[-1].mlp.register_forward_hook(lambda _module, given, _out: seen.append(given[0].shape[1]))
    scoring.response_logprobs(model, batch, temperature=1.0)
    assert seen == [int(batch.mask_BR.sum())]
    text = scoring.episodes([[1]] * 2, [[2, 3, 4, 5, 6], [7, 8, 9]], pad_token_id=TEXT.pad_id)
    scoring.response_logprobs(model, text, temperature=1.0)  # 8 of 10 are read: fewer would save nothing
    assert seen[1:] == [10]


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
def test_the_last_layer_projects_queries_of_what_is_read_and_keys_and_values_of_all(family: str) -> None:
    model, batch = causal_model(family), some_episodes(0)
    packing.enable(model)
    with FlopCounterMode(display=False) as counted:
        scoring.response_logprobs(model, batch, temperature=1.0)
    flops = {
        name.rpartition(".")[2]: sum(found.values())
        for name, found in counted.get_flop_counts().items()
        if ".1.attn." in name or ".1.self_attn." in name
    }
    width, num_all, num_read = model.config.hidden_size, int(batch.attention_mask_BT.sum()), int(batch.mask_BR.sum())
    of_queries, of_keys = 2 * num_read * width**2, 2 * num_all * width**2
    if family == "gpt2":
        assert flops["c_attn"] == of_queries + 2 * of_keys
    else:
        of_keys = of_keys * model.config.num_key_value_heads // model.config.num_attention_heads
        assert [flops[name] for name in ("q_proj", "k_proj", "v_proj")] == [of_queries, of_keys, of_keys]


def test_positions_that_do_not_start_anew_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    cumsum = Tensor.cumsum

    def running_on(self: Tensor, dim: int) -> Tensor:
        is_mask = dim == 1 and self.dtype == torch.long
        return cumsum(self.flatten(), dim=0).view_as(self) if is_mask else cumsum(self, dim)

    model, batch = causal_model("gpt2"), some_episodes(0, longest=8)
    padded, _ = loss_and_gradients(model, batch)
    packing.enable(model)
    monkeypatch.setattr(Tensor, "cumsum", running_on)
    assert abs(loss_and_gradients(model, batch)[0] - padded) > 1e-3


def test_a_padded_batch_has_the_loss_and_gradients_of_a_packed_one() -> None:
    model, batch = causal_model("gpt2"), some_episodes(5)
    padded_loss, padded = loss_and_gradients(model, batch)
    packing.enable(model)
    packed_loss, packed = loss_and_gradients(model, batch)
    assert packed_loss == pytest.approx(padded_loss, rel=1e-12)
    for ours, theirs in zip(packed, padded, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_what_a_row_gets_does_not_depend_on_what_is_packed_beside_it() -> None:
    model, batch = causal_model("llama"), some_episodes(3)
    packing.enable(model)
    together = scoring.response_logprobs(model, batch, temperature=1.0)
    for row in range(len(batch)):
        alone = scoring.response_logprobs(model, batch.rows(torch.tensor([row])), temperature=1.0)
        torch.testing.assert_close(together[row, : alone.shape[1]], alone[0], atol=1e-6, rtol=0)


def test_scores_and_values_are_the_same_packed_and_padded() -> None:
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(CONFIGS["gpt2"]()).double().eval()
    batch = some_episodes(1)
    padded = scoring.end_scores(model, batch), scoring.response_values(model, batch)
    packing.enable(model)
    packed = scoring.end_scores(model, batch), scoring.response_values(model, batch)
    torch.testing.assert_close(packed[0], padded[0], atol=1e-12, rtol=0)
    torch.testing.assert_close(packed[1], padded[1], atol=1e-6, rtol=0)  # values come back in fp32
    left = scoring.end_rewards_left_padded(model, batch)
    torch.testing.assert_close(left.double(), packed[0], atol=1e-6, rtol=0)


def test_rows_of_about_one_length_share_an_attention_and_rows_of_one_length_need_no_gathering() -> None:
    layout = packing.layout_of([4, 100, 90, 3, 101])
    assert [(group.num_rows, group.width) for group in layout.padded.groups] == [(3, 101), (2, 4)]
    even = packing.layout_of([5, 5, 5])
    assert [group.gather_GW for group in even.padded.groups] == [None]
    assert even.starts_B.tolist() == [0, 5, 10]


def test_packs_keep_to_both_limits_take_every_row_once_and_let_a_long_row_go_alone() -> None:
    lengths = [10, 200, 30, 30, 20, 5, 5]
    found = list(packing.packs(lengths, is_packed=True, max_rows=3, max_tokens=70))
    assert found == [[1], [2, 3], [4, 0, 5], [6]]
    padded = list(packing.packs(lengths, is_packed=False, max_rows=9, max_tokens=70))
    assert padded == [[1], [2, 3], [4, 0, 5], [6]]  # 20 + 20 + 20, and one more would make 80


def test_a_family_that_was_not_compared_is_not_packed_and_the_reason_is_said() -> None:
    shape = {"vocab_size": 262, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = transformers.AutoModelForCausalLM.from_config(transformers.GPTNeoXConfig(**shape, intermediate_size=32))
    said = packing.enable_where_possible(model, wanted=True)
    assert "gpt_neox" in said
    assert "padded" in said
    assert not packing.is_enabled(model)
    with pytest.raises(packing.PackingError, match="gpt_neox"):
        packing.enable(model)


def test_attention_dropout_is_refused_in_packed_rows() -> None:
    model, batch = causal_model("gpt2"), some_episodes(0)
    packing.enable(model)
    for block in model.transformer.h:
        block.attn.attn_dropout.p = 0.1
    model.train()
    with pytest.raises(packing.PackingError, match="dropout"):
        scoring.response_logprobs(model, batch, temperature=1.0)


def test_sampling_from_left_padded_prompts_is_as_before() -> None:
    from training.engine import rollout

    model = causal_model("llama").float()
    rule = rollout.SamplingRule(end_token_id=TEXT.end_id, pad_token_id=TEXT.pad_id, max_new_tokens=6)
    uniforms = rollout.row_uniforms(list("abc"), seed=0, num_draws=6)
    prompts = [[1, 2, 3], [4], [5, 6]]
    before = rollout.sample(model, prompts, uniforms, rule=rule)
    packing.enable(model)
    after = rollout.sample(model, prompts, uniforms, rule=rule)
    assert torch.equal(before.tokens_BR, after.tokens_BR)
    torch.testing.assert_close(before.logprobs_BR, after.logprobs_BR)
