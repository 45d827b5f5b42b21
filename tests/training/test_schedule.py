"""What happens at which iteration is a function of seed and iteration alone, however many processes share it."""

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


def test_processes_share_every_batch_and_every_minibatch_evenly() -> None:
    alone, halves = plan(batch_size=8), [plan(batch_size=8, process=process, num_processes=2) for process in (0, 1)]
    for iteration in range(3):
        assert sorted(row for half in halves for row in half.rows(iteration)) == alone.rows(iteration) == list(range(8))
        assert [half.prompts(PROMPTS, iteration) for half in halves] == [alone.prompts(PROMPTS, iteration)] * 2
        whole = [set(torch.cat(minibatch).tolist()) for minibatch in alone.plans(iteration)[0]]
        parts = [[set(torch.cat(minibatch).tolist()) for minibatch in half.plans(iteration)[0]] for half in halves]
        assert [first | second for first, second in zip(*parts, strict=True)] == whole
        assert [len(part) for half in parts for part in half] == [1] * 8


def test_every_process_iteration_and_seed_draws_other_numbers() -> None:
    drawn = []
    for seed in (0, 1):
        for process in (0, 1):
            half = plan(seed=seed, process=process, num_processes=2)
            drawn += [half.uniforms(iteration, rows=half.rows(iteration), num_draws=3) for iteration in (0, 1)]
    everything = torch.cat([numbers.flatten() for numbers in drawn])
    assert len(set(everything.tolist())) == len(everything) == 8 * 2 * 3
    again = plan().uniforms(1, rows=[0, 1], num_draws=3)
    assert torch.equal(plan().uniforms(1, rows=[1], num_draws=3)[0], again[1])


def test_processes_share_the_text_that_one_process_reads() -> None:
    pieces = schedule.TextPieces(num_pieces=4, num_tokens=5, pad_token_id=0, device="cpu")
    alone, *halves = (
        next(each.text(list(range(100, 400)), 0, pieces=pieces)).input_ids_BT.tolist()
        for each in (plan(), *(plan(process=process, num_processes=2) for process in (0, 1)))
    )
    assert sorted(halves[0] + halves[1]) == sorted(alone)
    assert len(halves[0]) == len(halves[1]) == 2


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
