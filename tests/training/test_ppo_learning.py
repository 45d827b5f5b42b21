"""Sampling, judging and learning together, on a model of a few thousand weights and a reward that can be counted."""

import contextlib
import copy
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

from training.engine import experience, learner, measure, rollout, scoring
from training.engine.optim import NonFiniteError

END, PAD, WANTED, VOCABULARY = 1, 0, 7, 12
PROMPTS = [[3], [4, 5], [6, 8, 9], [10]]


class CountingReward(torch.nn.Module):
    """Scores a row by how often the wanted token stands in it: a reward whose truth is known."""

    def __init__(self) -> None:
        super().__init__()
        self.score = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.ones_(self.score.weight)
        self.num_rows: list[int] = []

    def base_model(self, *, input_ids: torch.Tensor, **_: Any) -> SimpleNamespace:
        self.num_rows.append(len(input_ids))
        return SimpleNamespace(last_hidden_state=(input_ids == WANTED).float().cumsum(dim=1)[:, :, None])


def config(**changes: Any) -> GPT2Config:
    return GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=32,
        eos_token_id=END,
        pad_token_id=PAD,
        **changes,
    )


def make_models() -> experience.Models:
    torch.manual_seed(0)
    policy = GPT2LMHeadModel(config()).eval()
    value = GPT2ForSequenceClassification(config(num_labels=1)).eval()
    return experience.Models(policy=policy, value=value, reference=copy.deepcopy(policy), reward=CountingReward())


def make_learner(models: experience.Models, *, lr: float = 3e-3, **changes: Any) -> learner.Learner:
    values: dict[str, Any] = {
        "clip_range": 0.2,
        "value_clip_range": 0.2,
        "value_coef": 1.0,
        "ptx_coef": 0.0,
        "ptx_micro_batch_size": 8,
        "max_grad_norm": 1.0,
        "temperature": 1.0,
        **changes,
    }
    return learner.Learner(
        policy=models.policy,
        value=models.value,
        policy_optimizer=torch.optim.AdamW(models.policy.parameters(), lr=lr, eps=1e-5, weight_decay=0.0),
        value_optimizer=torch.optim.AdamW(models.value.parameters(), lr=lr, eps=1e-5, weight_decay=0.0),
        rule=learner.LearningRule(**values),
        autocast=contextlib.nullcontext,
    )


RULE = experience.RewardRule(
    kl_coef=0.02, gae_lambda=0.95, whiten_rewards=False, missing_end_rule="penalise", missing_end_amount=1.0
)


def collect(
    models: experience.Models,
    iteration: int,
    *,
    num_rows: int = 32,
    minibatch_size: int = 16,
    micro_batch_size: int = 16,
) -> tuple[experience.Experience, experience.Plan]:
    prompts = [PROMPTS[row % len(PROMPTS)] for row in range(num_rows)]
    rule = rollout.SamplingRule(end_token_id=END, pad_token_id=PAD, max_new_tokens=10)
    uniforms = rollout.row_uniforms([f"{iteration}/{row}" for row in range(num_rows)], seed=1, num_draws=10)
    responses = rollout.sample(models.policy, prompts, uniforms, rule=rule)
    rows = scoring.episodes(prompts, [responses.row(row) for row in range(num_rows)], pad_token_id=PAD)
    plan = experience.make_plan(
        num_rows, minibatch_size=minibatch_size, micro_batch_size=micro_batch_size, seed=iteration
    )
    judgement = experience.judge(models, rows, plan, temperature=1.0)
    assert experience.sampler_difference(responses, judgement, rows.mask_BR) < 1e-4
    return experience.experience(judgement, rows, responses.has_end_B, rule=RULE), plan


def no_text() -> Iterator[scoring.Episodes]:
    return iter(())


def gradients_of(model: Any) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_ppo_raises_the_reward_and_its_kl_stays_bounded() -> None:
    models = make_models()
    ppo = make_learner(models)
    history = []
    for iteration in range(40):
        batch, plan = collect(models, iteration)
        history.append(batch.figures | ppo.learn(batch, [plan], no_text()))
    first = sum(row["ppo/reward"] for row in history[:5]) / 5
    last = sum(row["ppo/reward"] for row in history[-5:]) / 5
    assert first < 1.0
    assert last > first + 3.0
    assert 0.0 < history[-1]["ppo/kl"] < 25.0
    assert all(math.isfinite(value) for row in history for value in row.values())


def test_the_ratio_is_exactly_one_at_the_first_minibatch_and_not_after() -> None:
    models = make_models()
    batch, plan = collect(models, 0)
    figures = make_learner(models).learn(batch, [plan], no_text())
    assert figures["ppo/first_ratio_error"] == 0.0
    assert figures["ppo/ratio_error"] > 0.0


def test_the_policy_judges_in_the_micro_batches_that_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    # on a larger model the last digits depend on which rows share a forward pass, and the first ratio would not be 1
    sizes: list[int] = []
    ask = experience.response_logprobs_and_entropy

    def watched(model: Any, part: scoring.Episodes, **named: Any) -> Any:
        sizes.append(len(part))
        return ask(model, part, **named)

    monkeypatch.setattr(experience, "response_logprobs_and_entropy", watched)
    _, plan = collect(make_models(), 0, num_rows=14, minibatch_size=8, micro_batch_size=5)
    assert sizes == [len(rows) for minibatch in plan for rows in minibatch] == [5, 3, 5, 1]


def test_the_other_models_judge_the_tokens_of_four_micro_batches_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    models = make_models()
    together, _ = collect(models, 0, num_rows=28, minibatch_size=7, micro_batch_size=3)
    assert len(models.reward.num_rows) >= 3  # of 12 micro-batches, some of which are of one row
    assert sum(models.reward.num_rows) == 28
    models.reward.num_rows.clear()
    monkeypatch.setattr(experience, "JUDGED_TOGETHER", 0)  # a row goes alone
    apart, _ = collect(models, 0, num_rows=28, minibatch_size=7, micro_batch_size=3)
    assert models.reward.num_rows == [1] * 28
    torch.testing.assert_close(apart.returns_BR, together.returns_BR)
    assert apart.figures == pytest.approx(together.figures, rel=1e-5, abs=1e-6)


def test_the_reference_and_the_reward_model_never_move() -> None:
    models = make_models()
    before = copy.deepcopy(models.reference.state_dict())
    batch, plan = collect(models, 0)
    make_learner(models).learn(batch, [plan], no_text())
    after = models.reference.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(not torch.equal(before[name], value) for name, value in models.policy.state_dict().items())


def test_micro_batches_give_the_gradient_of_the_whole_minibatch() -> None:
    found = []
    for micro_batch_size in (32, 5):
        models = make_models()
        batch, plan = collect(models, 0, minibatch_size=32, micro_batch_size=micro_batch_size)
        ppo = make_learner(models)
        ppo._accumulate_ppo(batch, plan[0])
        found.append((gradients_of(models.policy), gradients_of(models.value)))
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-4)


def test_the_graph_of_the_policy_is_gone_before_the_value_function_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    models = make_models()
    batch, plan = collect(models, 0, micro_batch_size=8)
    has_learnt: list[bool] = []
    response_values = scoring.response_values

    def read(model: Any, rows: scoring.Episodes) -> torch.Tensor:
        has_learnt.append(all(parameter.grad is not None for parameter in models.policy.parameters()))
        models.policy.zero_grad(set_to_none=True)
        return response_values(model, rows)

    monkeypatch.setattr(learner, "response_values", read)
    make_learner(models)._accumulate_ppo(batch, plan[0])
    assert has_learnt == [True, True]


def test_a_plan_visits_every_row_once_and_is_the_same_for_the_same_seed() -> None:
    plan = experience.make_plan(10, minibatch_size=4, micro_batch_size=3, seed=5)
    assert [[len(rows) for rows in minibatch] for minibatch in plan] == [[3, 1], [3, 1], [2]]
    flat = torch.cat([rows for minibatch in plan for rows in minibatch]).tolist()
    assert sorted(flat) == list(range(10))
    assert flat != list(range(10))
    again = experience.make_plan(10, minibatch_size=4, micro_batch_size=3, seed=5)
    assert flat == torch.cat([rows for minibatch in again for rows in minibatch]).tolist()


def text() -> scoring.Episodes:
    return measure.text_episodes([[3, 4, 5, 6], [8, 9, 10]], pad_token_id=PAD, device="cpu")


def test_ppo_ptx_adds_gamma_times_the_pretraining_gradient_to_the_ppo_gradient() -> None:
    models = make_models()
    batch, plan = collect(models, 0)
    ppo = make_learner(models, ptx_coef=3.0, ptx_micro_batch_size=1)
    ppo._accumulate_ppo(batch, plan[0])
    ppo_gradient = gradients_of(models.policy).clone()
    models.policy.zero_grad()
    tokens = torch.tensor([[3, 4, 5, 6], [8, 9, 10, PAD]])
    labels = torch.tensor([[3, 4, 5, 6], [8, 9, 10, -100]])
    loss = models.policy(input_ids=tokens, attention_mask=(labels >= 0).long(), labels=labels).loss
    loss.backward()
    text_gradient = gradients_of(models.policy).clone()
    models.policy.zero_grad()
    for measure_ratio in (True, False):
        ppo._accumulate_ppo(batch, plan[0])
        figures = ppo._accumulate_ptx(text(), measure_ratio=measure_ratio)
        torch.testing.assert_close(
            gradients_of(models.policy), ppo_gradient + 3.0 * text_gradient, atol=1e-6, rtol=1e-5
        )
        assert figures["ppo/ptx_loss"] == pytest.approx(loss.item(), rel=1e-5)
        if measure_ratio:
            assert figures["ppo/ptx_gradient_ratio"] == pytest.approx(
                (ppo_gradient.norm() / (3.0 * text_gradient).norm()).item(), rel=1e-4
            )
        models.policy.zero_grad()


def test_ptx_keeps_the_loss_on_pretraining_text_down() -> None:
    losses = {}
    for ptx_coef in (0.0, 1.0):
        models = make_models()
        ppo = make_learner(models, ptx_coef=ptx_coef)
        for iteration in range(10):
            batch, plan = collect(models, iteration)
            ppo.learn(batch, [plan], iter([text()] * len(plan)))
        row = text()
        logprobs = scoring.response_logprobs(models.policy, row, temperature=1.0)
        losses[ptx_coef] = -float(logprobs[row.mask_BR].mean())
    assert losses[1.0] < losses[0.0] - 0.3


@pytest.mark.parametrize("poisoned", ["policy", "value"])
def test_a_loss_that_is_not_finite_stops_before_any_weight_moves_and_gives_the_batch(poisoned: str) -> None:
    models = make_models()
    batch, plan = collect(models, 0)
    with torch.no_grad():
        getattr(models, poisoned).transformer.ln_f.weight[0] = float("nan")
    before = copy.deepcopy(models.policy.state_dict())
    with pytest.raises(NonFiniteError, match="PPO loss is not finite") as caught:
        make_learner(models).learn(batch, [plan], no_text())
    assert torch.equal(caught.value.tensors["input_ids"], batch.episodes.input_ids_BT)
    after = models.policy.state_dict()
    assert all(torch.equal(before[name].nan_to_num(), after[name].nan_to_num()) for name in before)


def test_a_gradient_that_is_not_finite_stops_too() -> None:
    models = make_models()
    batch, plan = collect(models, 0)
    weight = next(models.policy.parameters())
    weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(NonFiniteError, match="gradient of the policy"):
        make_learner(models).learn(batch, [plan], no_text())


def test_each_model_has_the_gradient_norm_of_its_own_weights() -> None:
    models = make_models()
    batch, plan = collect(models, 0)
    ppo, norms = make_learner(models, max_grad_norm=0.0), []
    for model, optimizer in ((models.policy, ppo.policy_optimizer), (models.value, ppo.value_optimizer)):
        optimizer.register_step_pre_hook(lambda *_args, model=model: norms.append(gradients_of(model).norm().item()))
    figures = ppo.learn(batch, [plan[:1]], no_text())
    assert [figures["ppo/policy_gradient_norm"], figures["ppo/value_gradient_norm"]] == pytest.approx(norms, rel=1e-5)
    assert norms[0] != pytest.approx(norms[1], rel=1e-2)


def test_gradients_longer_than_the_limit_are_scaled_down_to_it() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    assert learner._clip([parameter], 1.0) == 5.0
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8]))
    assert learner._clip([parameter], 2.0) == pytest.approx(1.0)
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8]))


def test_the_moving_average_follows_the_weights_slowly() -> None:
    average, current = [torch.tensor([1.0])], [torch.tensor([2.0])]
    learner.update_average(average, current, decay=0.75)
    assert average[0].item() == 1.25
    learner.update_average(average, current, decay=0.75)
    assert average[0].item() == 1.4375
    assert current[0].item() == 2.0


def test_whitened_rewards_reach_the_advantages_only_when_asked_for() -> None:
    models = make_models()
    prompts, responses = [[3], [4]], [[WANTED, END], [WANTED, WANTED, END]]
    rows = scoring.episodes(prompts, responses, pad_token_id=PAD)
    plan = experience.make_plan(2, minibatch_size=2, micro_batch_size=2, seed=0)
    judgement = experience.judge(models, rows, plan, temperature=1.0)
    has_end = torch.tensor([True, True])
    plain = experience.experience(judgement, rows, has_end, rule=RULE)
    whitened = experience.experience(judgement, rows, has_end, rule=_with_whitening(RULE))
    assert not torch.allclose(plain.returns_BR, whitened.returns_BR)
    assert plain.advantages_BR[rows.mask_BR].mean().item() == pytest.approx(0.0, abs=1e-6)


def _with_whitening(rule: experience.RewardRule) -> experience.RewardRule:
    return experience.RewardRule(**{**vars(rule), "whiten_rewards": True})
