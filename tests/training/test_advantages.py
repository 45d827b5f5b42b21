"""The path from scores to advantages, with numbers worked out by hand."""

import pytest
import torch

from training.engine import advantages

NAN = float("nan")


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def mask(*values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)


def test_a_masked_mean_counts_tokens_and_does_not_read_padding() -> None:
    # (1 + 2 + 9) / 3 = 4, not the mean 5.25 of the row means 1.5 and 9.
    values = rows([1, 2], [9, NAN])
    assert advantages.masked_mean(values, mask([1, 1], [1, 0])).item() == 4.0


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match="keeps nothing"):
        advantages.masked_mean(rows([1, 2]), mask([0, 0]))


def test_the_variance_is_the_population_variance() -> None:
    # mean 2, squared distances 1 0 1: 2/3 with divisor n (Bessel would say 1).
    assert advantages.masked_variance(rows([1, 2, 3, 99]), mask([1, 1, 1, 0])).item() == pytest.approx(2 / 3)


def test_whitened_advantages_have_mean_zero_and_variance_one_over_valid_tokens() -> None:
    kept = mask([1, 1, 0], [1, 1, 0])
    whitened = advantages.whiten(rows([1, 3, 50], [5, 7, -50]), kept)
    # mean 4, variance (9 + 1 + 1 + 9) / 4 = 5.
    expected = rows([-3, -1, 0], [1, 3, 0]) / 5**0.5
    torch.testing.assert_close(whitened, expected, atol=1e-7, rtol=0)


def test_whitened_rewards_keep_their_mean() -> None:
    kept = mask([1, 1, 0], [1, 1, 0])
    whitened = advantages.whiten_keeping_mean(rows([1, 3, 50], [5, 7, -50]), kept)
    torch.testing.assert_close(whitened[kept].mean().item(), 4.0)
    expected = rows([4 - 3 / 5**0.5, 4 - 1 / 5**0.5, 0], [4 + 1 / 5**0.5, 4 + 3 / 5**0.5, 0])
    torch.testing.assert_close(whitened, expected, atol=1e-7, rtol=0)


def test_k1_is_the_log_ratio_of_sampled_tokens_and_zero_on_padding() -> None:
    kl = advantages.kl_k1(rows([-1.0, -2.0, NAN]), rows([-1.5, -1.0, NAN]), mask([1, 1, 0]))
    torch.testing.assert_close(kl, rows([0.5, -1.0, 0.0]))


def test_a_response_without_an_end_gets_its_score_replaced() -> None:
    scores = advantages.end_scores(torch.tensor([2.0, 3.0]), torch.tensor([True, False]), rule="replace", amount=-1.0)
    assert scores.tolist() == [2.0, -1.0]


def test_a_response_without_an_end_can_be_penalised_instead() -> None:
    scores = advantages.end_scores(torch.tensor([2.0, 3.0]), torch.tensor([True, False]), rule="penalise", amount=1.5)
    assert scores.tolist() == [2.0, 1.5]


def test_an_unknown_missing_end_rule_is_named() -> None:
    with pytest.raises(ValueError, match="'shrug'"):
        advantages.end_scores(torch.zeros(1), torch.ones(1, dtype=torch.bool), rule="shrug", amount=0.0)


def test_the_score_lands_on_the_last_kept_token_and_kl_on_every_one() -> None:
    kl = rows([1.0, 2.0, 0.0], [3.0, 4.0, 5.0])
    rewards = advantages.token_rewards(
        torch.tensor([10.0, 20.0], dtype=torch.float64), kl, mask([1, 1, 0], [1, 1, 1]), kl_coef=0.1
    )
    torch.testing.assert_close(rewards, rows([-0.1, 10 - 0.2, 0.0], [-0.3, -0.4, 20 - 0.5]))


def test_the_sum_of_rewards_is_the_score_minus_beta_times_the_sequence_kl() -> None:
    kl = rows([1.0, 2.0, NAN])
    rewards = advantages.token_rewards(torch.tensor([4.0], dtype=torch.float64), kl, mask([1, 1, 0]), kl_coef=0.02)
    assert rewards.sum().item() == pytest.approx(4 - 0.02 * 3)


def test_a_response_without_a_token_is_an_error() -> None:
    with pytest.raises(ValueError, match="no token"):
        advantages.last_positions(mask([1, 0], [0, 0]))


def test_gae_matches_the_recursion_worked_by_hand() -> None:
    # discount 1, λ 0.5, rewards 0 0 1, values 0.5 0.25 0.5; the last step bootstraps 0.
    # δ3 = 1 − 0.5 = 0.5; δ2 = 0 + 0.5 − 0.25 = 0.25; δ1 = 0 + 0.25 − 0.5 = −0.25
    # A3 = 0.5; A2 = 0.25 + 0.5·0.5 = 0.5; A1 = −0.25 + 0.5·0.5 = 0
    gains, returns = advantages.gae(rows([0, 0, 1]), rows([0.5, 0.25, 0.5]), mask([1, 1, 1]), discount=1.0, lam=0.5)
    torch.testing.assert_close(gains, rows([0.0, 0.5, 0.5]))
    torch.testing.assert_close(returns, rows([0.5, 0.75, 1.0]))


def test_the_discount_counts_once_in_delta_and_once_in_the_sum() -> None:
    # δ2 = 2 − 1 = 1; δ1 = 0 + 0.5·1 − 1 = −0.5; A1 = −0.5 + 0.5·0.5·1 = −0.25
    gains, _ = advantages.gae(rows([0, 2]), rows([1, 1]), mask([1, 1]), discount=0.5, lam=0.5)
    torch.testing.assert_close(gains, rows([-0.25, 1.0]))


def test_the_last_step_bootstraps_zero_whatever_stands_in_the_padding() -> None:
    long, _ = advantages.gae(rows([0, 1, NAN]), rows([0.3, 0.6, NAN]), mask([1, 1, 0]), discount=1.0, lam=0.95)
    short, _ = advantages.gae(rows([0, 1]), rows([0.3, 0.6]), mask([1, 1]), discount=1.0, lam=0.95)
    assert long[0, :2].tolist() == short[0].tolist()
    assert long[0, 2].item() == 0.0


def test_with_lambda_one_and_no_discount_the_return_is_the_rest_of_the_rewards() -> None:
    _, returns = advantages.gae(rows([1, 2, 3]), rows([9, -4, 0.5]), mask([1, 1, 1]), discount=1.0, lam=1.0)
    torch.testing.assert_close(returns, rows([6.0, 5.0, 3.0]))


def test_explained_variance_is_one_for_a_perfect_value_and_zero_for_a_constant() -> None:
    returns, kept = rows([1, 2, 3, 77]), mask([1, 1, 1, 0])
    assert advantages.explained_variance(returns, returns, kept).item() == 1.0
    assert advantages.explained_variance(rows([5, 5, 5, 5]), returns, kept).item() == pytest.approx(0.0)


def test_the_adaptive_kl_coefficient_moves_by_at_most_a_fifth_of_the_share_of_the_horizon() -> None:
    # KL 12 against 6 is an error of 1, cut to 0.2: 0.1 · (1 + 0.2 · 100 / 1000) = 0.102
    up = advantages.adapted_kl_coef(0.1, kl=12.0, target=6.0, horizon=1000, num_episodes=100)
    down = advantages.adapted_kl_coef(0.1, kl=5.4, target=6.0, horizon=1000, num_episodes=100)
    assert up == pytest.approx(0.102)
    assert down == pytest.approx(0.1 * (1 - 0.1 * 0.1))
