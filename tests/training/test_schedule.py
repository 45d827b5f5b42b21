"""What happens at which iteration is a function of seed, process and iteration alone."""

from typing import Any

import pytest
import torch

from training.engine import schedule
from training.engine.measure import NamedPrompt

PROMPTS = [NamedPrompt(name=f"p{n}", ids=[n]) for n in range(5)]


def plan(**changes: Any) -> schedule.Schedule:
    values: dict[str, Any] = {
        "seed": 0,
        "batch_size": 4,
        "minibatch_size": 2,
        "micro_batch_size": 2,
        "num_inner_epochs": 1,
        **changes,
    }
    return schedule.Schedule(**values)


def names(chosen: schedule.Schedule, num_iterations: int) -> list[str]:
    return [prompt.name for n in range(num_iterations) for prompt in chosen.prompts(PROMPTS, n)]


def test_each_pass_over_the_prompts_takes_every_prompt_once_in_a_fresh_order() -> None:
    order = names(plan(), 5)
    passes = [order[start : start + 5] for start in range(0, 20, 5)]
    assert [sorted(each) for each in passes] == [["p0", "p1", "p2", "p3", "p4"]] * 4
    assert len({tuple(each) for each in passes}) > 1


def test_a_batch_may_be_larger_than_the_number_of_prompts() -> None:
    batch = plan(batch_size=12).prompts(PROMPTS, 0)
    assert len(batch) == 12
    assert sorted(prompt.name for prompt in batch[:5]) == ["p0", "p1", "p2", "p3", "p4"]


def test_processes_share_one_order_and_never_take_the_same_place_in_it() -> None:
    alone = names(plan(batch_size=8), 5)
    halves = [plan(process=process, num_processes=2) for process in (0, 1)]
    together = [prompt.name for n in range(5) for half in halves for prompt in half.prompts(PROMPTS, n)]
    assert together == alone


def test_every_process_iteration_and_seed_draws_other_numbers() -> None:
    drawn = [
        plan(seed=seed, process=process).uniforms(iteration, num_draws=3)
        for seed in (0, 1)
        for process in (0, 1)
        for iteration in (0, 1)
    ]
    everything = torch.cat([numbers.flatten() for numbers in drawn])
    assert len(set(everything.tolist())) == len(everything) == 8 * 4 * 3
    assert torch.equal(plan().uniforms(1, num_draws=3), plan().uniforms(1, num_draws=3))


def test_every_process_shuffles_its_own_rows_and_reads_other_text() -> None:
    first, second = (plan(batch_size=32, process=process, num_processes=2) for process in (0, 1))
    assert not torch.equal(torch.cat(first.plans(0)[0][0]), torch.cat(second.plans(0)[0][0]))
    pieces = schedule.TextPieces(num_pieces=2, num_tokens=5, pad_token_id=0, device="cpu")
    texts = [next(half.text(list(range(100, 400)), 0, pieces=pieces)).input_ids_BT for half in (first, second)]
    assert not torch.equal(texts[0], texts[1])


def test_inner_epochs_shuffle_anew() -> None:
    first, second = plan(batch_size=32, num_inner_epochs=2).plans(0)
    assert not torch.equal(torch.cat(first[0]), torch.cat(second[0]))


def test_pretraining_text_goes_on_where_the_iteration_before_it_stopped() -> None:
    stream = list(range(100, 400))
    pieces = schedule.TextPieces(num_pieces=2, num_tokens=5, pad_token_id=0, device="cpu")
    first, second = plan().text(stream, 0, pieces=pieces), plan().text(stream, 1, pieces=pieces)
    of_first = [next(first).input_ids_BT for _ in range(3)]
    assert of_first[0].shape == (2, 5)
    assert not torch.equal(of_first[0], of_first[1])
    assert torch.equal(of_first[2], next(second).input_ids_BT)  # an iteration takes two: one per minibatch


def test_the_rate_warms_up_from_a_tenth_and_stays() -> None:
    rates = [schedule.warmed_up(1.0, iteration, warmup_iterations=10) for iteration in (0, 5, 10, 1000)]
    assert rates == pytest.approx([0.1, 0.55, 1.0, 1.0])
    assert schedule.warmed_up(1.0, 0, warmup_iterations=0) == 1.0


def ringing(*figures: tuple[float, float]) -> list[bool]:
    alarm = schedule.Alarm(kl_budget=10.0, window=1)
    found = []
    for reward, kl in figures:
        alarm.update(reward=reward, kl=kl)
        found.append(alarm.is_ringing)
    return found


def test_the_alarm_rings_while_the_reward_has_risen_and_the_kl_is_past_its_budget() -> None:
    assert ringing((0.0, 0.0), (1.0, 9.0), (2.0, 11.0), (-1.0, 12.0), (1.0, 9.0)) == [False, False, True, False, False]


def test_one_batch_out_of_line_does_not_ring_the_alarm() -> None:
    alarm = schedule.Alarm(kl_budget=10.0)
    for kl in (1.0, 1.0, 1.0, 20.0):
        alarm.update(reward=kl, kl=kl)
    assert not alarm.over_budget
