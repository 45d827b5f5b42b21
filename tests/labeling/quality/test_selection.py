"""What to rank next: by score, always beside a random share, both handed out mixed."""

import pytest

from labeling.models import Task
from labeling.services import selection, tasks
from labeling.services.selection import choose
from tests.labeling.quality.conftest import rank, taken

SCORES = {pk: pk / 100 for pk in range(1, 101)}


def test_the_best_scores_are_chosen_and_a_share_by_lot(db):
    chosen = choose(SCORES, num=20, random_percent=25, seed=1)
    by_lot = {choice.prompt_id for choice in chosen if choice.stream == "random"}
    best = [choice.prompt_id for choice in chosen if choice.stream == "active"]
    assert len(by_lot) == 5
    assert best == [pk for pk in range(100, 0, -1) if pk not in by_lot][:15]
    assert all(choice.score == SCORES[choice.prompt_id] for choice in chosen)


def test_the_control_is_drawn_from_all_and_not_from_what_is_left():
    """Over many seeds the top tenth is in the control as often as any other tenth."""
    hits = sum(
        choice.prompt_id > 90
        for seed in range(400)
        for choice in choose(SCORES, num=20, random_percent=50, seed=seed)
        if choice.stream == "random"
    )
    assert 320 <= hits <= 480  # 400 expected


def test_every_beginning_of_the_list_holds_both_streams_in_their_ratio():
    chosen = choose(SCORES, num=40, random_percent=25, seed=3)
    for length in range(4, 41, 4):
        assert abs(sum(choice.stream == "random" for choice in chosen[:length]) - length / 4) <= 1


def test_the_same_arguments_give_the_same_choice():
    assert choose(SCORES, num=9, random_percent=30, seed=5) == choose(SCORES, num=9, random_percent=30, seed=5)
    assert choose(SCORES, num=9, random_percent=30, seed=5) != choose(SCORES, num=9, random_percent=30, seed=6)


def test_no_prompt_is_chosen_twice_and_no_more_than_there_are():
    chosen = choose({1: 0.5, 2: None, 3: 0.1}, num=10, random_percent=34, seed=1)
    assert sorted(choice.prompt_id for choice in chosen) == [1, 2, 3]


def test_without_a_score_comes_last():
    chosen = choose({1: None, 2: 0.1, 3: 0.9}, num=3, random_percent=0, seed=1)
    assert [choice.prompt_id for choice in chosen] == [3, 2, 1]


def test_a_small_share_is_at_least_one():
    assert [c.stream for c in choose(SCORES, num=3, random_percent=1, seed=1)].count("random") == 1
    assert [c.stream for c in choose(SCORES, num=3, random_percent=0, seed=1)].count("random") == 0


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_share_that_is_no_percentage_is_refused(percent):
    with pytest.raises(ValueError, match="percentage"):
        choose(SCORES, num=3, random_percent=percent, seed=1)


def test_disagreement_is_the_share_of_comparisons_that_differ(people, ask):
    torn, alone = ask(2, wanted=2)
    rank(torn, people.labeler, [1, 2, 3])
    rank(torn, people.labeler2, [1, 3, 2])
    rank(alone, people.labeler, [1, 2, 3])
    prompts = type(torn.prompt).objects.filter(project=people.project)
    assert selection.disagreement(prompts) == {torn.prompt_id: pytest.approx(1 / 3), alone.prompt_id: None}


def test_tasks_keep_how_they_were_chosen_and_come_in_that_order(people, make_prompt):
    prompts = [make_prompt(f"p{number}", k=2) for number in range(8)]
    chosen = choose({p.pk: n / 10 for n, p in enumerate(prompts)}, num=4, random_percent=50, seed=2)
    made = tasks.make_ranking_tasks(
        project=people.project,
        prompts=selection.in_order(chosen),
        num_responses=2,
        num_wanted=1,
        user=people.manager,
        chosen=chosen,
    )
    rows = Task.objects.filter(pk__in=made.task_ids).order_by("pk")
    assert [(t.prompt_id, t.stream, t.score) for t in rows] == [(c.prompt_id, c.stream, c.score) for c in chosen]
    assert taken(people).task.prompt_id == chosen[0].prompt_id


def test_tasks_made_in_order_say_so(people, ask):
    (task,) = ask()
    assert (task.stream, task.score) == ("order", None)
