"""Sampling and scoring agree with each other and with a plain forward pass, padding and batching notwithstanding."""

from typing import Any

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from training.engine import experience, rollout, scoring

END, PAD, VOCABULARY = 1, 0, 23
PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [14, 15]]


@pytest.fixture(params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> Any:
    """Learned absolute positions and rotary ones: wrong position ids show in the first, wrong masks in both."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 2, "eos_token_id": END, "pad_token_id": PAD, "vocab_size": VOCABULARY}
    if request.param == "gpt2":
        config = GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.4, **ids)
        return GPT2LMHeadModel(config).eval()
    llama = LlamaConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.4,
        **ids,
    )
    return LlamaForCausalLM(llama).eval()


@pytest.fixture
def reward_model() -> Any:
    torch.manual_seed(1)
    config = GPT2Config(
        n_embd=16, n_layer=2, n_head=2, n_positions=64, vocab_size=VOCABULARY, num_labels=1, pad_token_id=PAD
    )
    return GPT2ForSequenceClassification(config).eval()


def rule(**changes: Any) -> rollout.SamplingRule:
    values: dict[str, Any] = {"end_token_id": END, "pad_token_id": PAD, "max_new_tokens": 12, **changes}
    return rollout.SamplingRule(**values)


def sample(model: Any, prompts: list[list[int]], names: list[str], **changes: Any) -> rollout.Responses:
    chosen = rule(**changes)
    uniforms = rollout.row_uniforms(names, seed=3, num_draws=chosen.max_new_tokens)
    return rollout.sample(model, prompts, uniforms, rule=chosen, num_samples=len(names) // len(prompts))


def rows_of(responses: rollout.Responses) -> list[list[int]]:
    return [responses.row(index) for index in range(len(responses.lengths_B))]


def test_a_pad_token_that_is_the_end_token_is_refused() -> None:
    with pytest.raises(rollout.RolloutError, match="pad token is the end token"):
        rule(pad_token_id=END)


def test_prompts_are_padded_on_the_left() -> None:
    tokens, mask = rollout.left_padded([[5, 6], [7]], PAD, device="cpu")
    assert tokens.tolist() == [[5, 6], [PAD, 7]]
    assert mask.tolist() == [[True, True], [False, True]]


def test_position_ids_come_from_the_mask() -> None:
    mask = torch.tensor([[False, False, True, True], [True, True, True, False]])
    assert scoring.positions_from_mask(mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]


def test_a_row_says_the_same_alone_as_in_a_batch_and_in_any_order(model: Any) -> None:
    names = ["a", "b", "c", "d"]
    together = rows_of(sample(model, PROMPTS, names))
    alone = [rows_of(sample(model, [prompt], [name]))[0] for prompt, name in zip(PROMPTS, names, strict=True)]
    backwards = rows_of(sample(model, PROMPTS[::-1], names[::-1]))[::-1]
    assert together == alone == backwards


def test_k_samples_from_one_prefill_equal_k_separate_prompts(model: Any) -> None:
    names = [f"{prompt}/{k}" for prompt in range(4) for k in range(3)]
    shared = rows_of(sample(model, PROMPTS, names))
    repeated = rows_of(sample(model, [prompt for prompt in PROMPTS for _ in range(3)], names))
    assert shared == repeated
    assert len({tuple(row) for row in shared}) > 4


def test_a_response_stops_at_its_end_token_and_a_cut_one_is_marked(model: Any) -> None:
    responses = sample(model, PROMPTS * 8, [str(n) for n in range(32)])
    rows = rows_of(responses)
    assert {True, False} == set(responses.has_end_B.tolist())
    for row, has_end in zip(rows, responses.has_end_B.tolist(), strict=True):
        assert (row[-1] == END) == has_end
        assert END not in row[:-1]
        assert has_end or len(row) == 12


def test_sampling_follows_the_distribution_at_its_temperature() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]]).expand(20_000, 3)
    uniforms = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    tokens, logprobs = rollout.pick(logits, uniforms, temperature=2.0)
    expected = torch.softmax(torch.tensor([0.0, 0.5, 1.0]), dim=0)
    shares = torch.bincount(tokens, minlength=3) / 20_000
    torch.testing.assert_close(shares, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(logprobs.exp(), expected[tokens])


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3]])).expand(100, 3)
    uniforms = torch.arange(100, dtype=torch.float64) / 100
    tokens, _ = rollout.pick(logits, uniforms, temperature=1.0, top_p=0.75)
    assert torch.bincount(tokens, minlength=3).tolist()[0] == 0
    assert set(tokens.tolist()) == {1, 2}


def test_temperature_zero_takes_the_most_likely_token() -> None:
    tokens, _ = rollout.pick(torch.tensor([[0.0, 3.0, 1.0]]), torch.tensor([0.999]), temperature=0.0)
    assert tokens.tolist() == [1]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_training_forward_on_right_padded_rows_agrees_with_the_sampler_on_left_padded_ones(
    model: Any, temperature: float
) -> None:
    responses = sample(model, PROMPTS, list("abcd"), temperature=temperature)
    batch = scoring.episodes(PROMPTS, rows_of(responses), pad_token_id=PAD)
    logprobs = scoring.response_logprobs(model, batch, temperature=temperature)
    torch.testing.assert_close(logprobs, responses.logprobs_BR * batch.mask_BR, atol=2e-5, rtol=0)


def test_log_probs_are_those_of_the_logits_divided_by_the_temperature(model: Any) -> None:
    prompt, response = [5, 6, 7], [9, 10, END]
    batch = scoring.episodes([prompt], [response], pad_token_id=PAD)
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0, 2:5]
    for temperature in (1.0, 0.5):
        expected = torch.log_softmax(logits / temperature, dim=-1)[range(3), response]
        torch.testing.assert_close(scoring.response_logprobs(model, batch, temperature=temperature)[0], expected)


def test_chunks_change_neither_log_probs_nor_gradients(model: Any) -> None:
    batch = scoring.episodes(PROMPTS, [[3, 4, END], [5, END], [END], [6, 7, 8, 9]], pad_token_id=PAD)
    gradients = []
    for chunk_tokens in (2, 1000):
        model.zero_grad()
        logprobs = scoring.response_logprobs(model, batch, temperature=1.0, chunk_tokens=chunk_tokens)
        logprobs.sum().backward()
        gradients.append((logprobs.detach(), model.get_input_embeddings().weight.grad.clone()))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_entropy_is_that_of_the_distribution_a_token_came_from(model: Any) -> None:
    batch = scoring.episodes([[5, 6]], [[9, END]], pad_token_id=PAD)
    logits = model(input_ids=torch.tensor([[5, 6, 9, END]])).logits[0, 1:3]
    expected = torch.distributions.Categorical(logits=logits / 0.8).entropy()
    logprobs, entropies = scoring.response_logprobs_and_entropy(model, batch, temperature=0.8)
    torch.testing.assert_close(entropies[0], expected)
    assert torch.equal(logprobs, scoring.response_logprobs(model, batch, temperature=0.8))


def test_rewards_are_read_at_the_end_token_and_values_in_front_of_each_token(reward_model: Any) -> None:
    prompts, responses = [[5, 6, 7], [8]], [[9, END], [3, 4, 2]]
    batch = scoring.episodes(prompts, responses, pad_token_id=PAD)
    rewards, values = scoring.end_rewards(reward_model, batch), scoring.response_values(reward_model, batch)
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        hidden = reward_model.transformer(input_ids=torch.tensor([prompt + response])).last_hidden_state
        scores = reward_model.score(hidden)[0, :, 0]
        torch.testing.assert_close(rewards[row], scores[-1])
        torch.testing.assert_close(values[row, : len(response)], scores[len(prompt) - 1 : -1])
    assert values[0, 2].item() == 0.0


def test_padding_on_either_side_gives_the_same_reward(reward_model: Any) -> None:
    batch = scoring.episodes(PROMPTS, [[3, 4, END], [5, END], [END], [6, 7, 8, 9]], pad_token_id=PAD)
    right, left = scoring.end_rewards(reward_model, batch), scoring.end_rewards_left_padded(reward_model, batch)
    torch.testing.assert_close(left, right, atol=1e-6, rtol=0)
    assert right.std() > 1e-3


def test_the_longest_and_the_shortest_row_of_a_micro_batch_are_scored_again_with_padding_on_the_left(
    reward_model: Any,
) -> None:
    batch = scoring.episodes([[5, 6, 7], [8], [5, 6], [4]], [[9, END], [3], [3, 4], [END]], pad_token_id=PAD)
    rewards_B = scoring.end_rewards(reward_model, batch)
    for wrong, is_seen in ((0, True), (1, True), (2, False), (3, False)):  # 3 is as short as 1, but not asked about
        given_B = rewards_B.detach().clone()
        given_B[wrong] += 1.0
        nothing_BR = torch.zeros(batch.mask_BR.shape)
        judgement = experience.Judgement(
            logprobs_BR=nothing_BR,
            ref_logprobs_BR=nothing_BR,
            entropy_BR=nothing_BR,
            values_BR=nothing_BR,
            rewards_B=given_B,
        )
        found = experience.padding_difference(reward_model, batch, judgement, torch.tensor([2, 1, 0]))
        assert found == pytest.approx(float(is_seen), abs=1e-5)


def test_a_response_that_contains_the_pad_token_is_still_read_to_its_end(reward_model: Any) -> None:
    batch = scoring.episodes([[5], [5]], [[PAD, PAD, END], [END]], pad_token_id=PAD)
    assert batch.mask_BR.tolist() == [[True, True, True], [True, False, False]]
    hidden = reward_model.transformer(input_ids=torch.tensor([[5, PAD, PAD, END]])).last_hidden_state
    torch.testing.assert_close(scoring.end_rewards(reward_model, batch)[0], reward_model.score(hidden)[0, -1, 0])


def test_chosen_rows_are_cut_to_their_own_width_and_say_the_same(model: Any) -> None:
    batch = scoring.episodes(PROMPTS, [[3, 4, END], [5, END], [END], [6, 7, 8, 9]], pad_token_id=PAD)
    part = batch.rows(torch.tensor([0, 1]))
    assert part.input_ids_BT.shape == (2, 6)
    assert part.mask_BR.shape == part.index_BR.shape == (2, 3)
    whole = scoring.response_logprobs(model, batch, temperature=1.0)[torch.tensor([0, 1]), :3]
    torch.testing.assert_close(scoring.response_logprobs(model, part, temperature=1.0), whole)


def test_a_model_that_changes_its_logits_after_the_unembedding_is_refused_by_name(model: Any) -> None:
    scoring.check_unembedding(model)
    capped = Gemma2Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=0.5,
        initializer_range=0.4,
    )
    with pytest.raises(ValueError, match="gemma2"):
        scoring.check_unembedding(Gemma2ForCausalLM(capped).eval())


def test_an_empty_prompt_and_one_beyond_the_positions_are_refused_with_the_reason(model: Any) -> None:
    with pytest.raises(rollout.RolloutError, match="no token"):
        sample(model, [[]], ["a"])
    with pytest.raises(rollout.RolloutError, match=r"need 72 tokens.*64"):
        sample(model, [[5] * 60], ["a"])


def test_an_empty_response_is_refused() -> None:
    with pytest.raises(ValueError, match="no response token"):
        scoring.episodes([[5]], [[]], pad_token_id=PAD)
