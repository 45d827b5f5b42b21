"""Who holds which slot: never two for one, never more judgements than wanted, and only the database's clock counts."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.models.functions import Now

from labeling.models import Draft, Membership, Prompt, Ranking, Role, Skip, Slot, Task, User
from labeling.services import assignments, rankings, tasks
from labeling.services.answers import Answer
from labeling.services.assignments import Nothing


@pytest.fixture
def ask(people, make_prompt):
    """`ask(n, wanted=1)` → n ranking tasks of two responses."""

    def make(num=1, wanted=1, **fields):
        made = [make_prompt(f"prompt {Prompt.objects.count()}", k=2, **fields) for _ in range(num)]
        counts = tasks.make_ranking_tasks(
            project=people.project, prompts=made, num_responses=2, num_wanted=wanted, user=people.manager
        )
        return list(Task.objects.filter(pk__in=counts.task_ids).order_by("pk"))

    return make


def claim(people, labeler=None, **more):
    return assignments.claim(project=people.project, labeler=labeler or people.labeler, **more)


def rank(task, labeler, key=None, ranks=(1, 2)):
    key = key or f"{task.pk}-{labeler.pk}"
    return rankings.submit(task=task, labeler=labeler, idempotency_key=key, answer=Answer(ranks=list(ranks)))


def lapse(slot):
    Slot.objects.filter(pk=slot.pk).update(lease_until=Now() - timedelta(seconds=1))


def crowd(people, num):
    made = [User.objects.create_user(f"crowd{n}@example.org", "a long password") for n in range(num)]
    Membership.objects.bulk_create(Membership(project=people.project, user=user, role=Role.LABELER) for user in made)
    return made


def at_once(calls):
    """Run the calls in threads that start together, each on a connection of its own."""
    gate = threading.Barrier(len(calls))

    def run(call):
        try:
            gate.wait(20)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(60) for future in [pool.submit(run, call) for call in calls]]


def test_a_task_at_hand_whose_lease_ran_out_is_not_handed_out_as_another_one(people, ask):
    first, second = ask(2)
    slot = claim(people)
    lapse(slot)
    found = claim(people, besides=[slot.task])
    assert found.task_id == ({first.pk, second.pk} - {slot.task_id}).pop()


def test_the_only_task_at_hand_is_theirs_again_when_its_lease_ran_out(people, ask):
    ask()
    slot = claim(people)
    lapse(slot)
    assert isinstance(claim(people, besides=[slot.task]), Nothing)
    slot.refresh_from_db()
    assert (slot.state, slot.holder) == ("held", people.labeler)


def test_what_was_answered_already_is_not_among_those_ahead_when_its_lease_ran_out(people, ask):
    ask()
    slot = claim(people)
    lapse(slot)
    assignments.expire()
    assert assignments.claim_ahead(project=people.project, labeler=people.labeler, besides=[slot.task]) == []


def test_a_claim_holds_the_slot_with_a_lease(people, ask):
    ask()
    slot = claim(people)
    slot.refresh_from_db()
    assert (slot.state, slot.holder) == ("held", people.labeler)
    assert slot.lease_until - slot.claimed_at == timedelta(minutes=15)


def test_the_more_urgent_task_comes_first(people, ask):
    _, urgent = ask(2)
    tasks.set_priority(task=urgent, priority=5)
    assert claim(people).task == urgent


def test_the_most_urgent_comes_first_when_statistics_say_that_the_table_is_empty(people, ask):
    """As after a vacuum that found nothing but dead rows: the planner then starts from the table it thinks empty."""
    made = ask(12)
    for number, task in enumerate(made):
        tasks.set_priority(task=task, priority=number)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_class SET reltuples = 0, relpages = 40 WHERE relname = 'labeling_slot'")
    assert claim(people).task == made[-1]


def test_a_reload_gives_the_same_slot_back(people, ask):
    ask(3)
    assert claim(people) == claim(people)
    assert Slot.objects.filter(state="held").count() == 1


def test_near_the_end_of_the_queue_one_task_is_held_ahead_and_no_more(people, ask):
    ask(4)
    first = claim(people)
    second = claim(people, besides=[first.task])
    assert second.task != first.task
    assert claim(people, besides=[first.task]) == second
    assert claim(people, besides=[second.task]) == first
    assert claim(people, besides=[first.task, second.task]).holds_enough
    assert Slot.objects.filter(state="held").count() == 2


def test_while_much_is_open_as_many_are_held_ahead_as_the_project_says(people, ask, monkeypatch):
    monkeypatch.setattr(assignments, "ENOUGH_OPEN", 3)
    people.project.tasks_ahead = 3
    people.project.save()
    ask(9)
    held = []
    for _ in range(4):
        held.append(claim(people, besides=held).task)
    assert len(set(held)) == 4
    assert claim(people, besides=held).holds_enough
    assert assignments.claim_task(task=Task.objects.order_by("pk").last(), labeler=people.labeler) is None
    assert Slot.objects.filter(state="held").count() == 4


def test_the_last_open_tasks_stay_open_for_others(people, ask, monkeypatch):
    monkeypatch.setattr(assignments, "ENOUGH_OPEN", 3)
    ask(5)
    held = []
    while isinstance(slot := claim(people, besides=held), Slot):
        held.append(slot.task)
    assert len(held) == 3  # with three held, two were open: too few for another
    assert [claim(people, people.labeler2, besides=[]).task in held] == [False]


def test_each_kind_of_work_is_held_by_itself(people, ask, monkeypatch):
    monkeypatch.setattr(assignments, "ENOUGH_OPEN", 1)
    people.project.tasks_ahead = 1
    people.project.save()
    ask(5)
    Task.objects.filter(pk__in=Task.objects.order_by("pk").values("pk")[:2]).update(kind="compare")
    Slot.objects.filter(task__kind="compare").update(kind="compare")
    first = claim(people, kinds=["rank"]).task
    second = claim(people, kinds=["rank"], besides=[first]).task
    assert claim(people, kinds=["rank"], besides=[first, second]).holds_enough
    assert claim(people, kinds=["compare"]).task.kind == "compare"  # the other button still works
    assert assignments.release_all(task=first, labeler=people.labeler) == 2


def test_stopping_gives_back_the_task_and_those_ahead_and_keeps_drafts(people, ask):
    ask(3)
    first = claim(people).task
    second = claim(people, besides=[first]).task
    Draft.objects.create(task=second, labeler=people.labeler, payload={})
    assert assignments.release_all(task=first, labeler=people.labeler) == 2
    assert not Slot.objects.filter(state="held").exists()
    assert Draft.objects.filter(task=second).exists()


def test_a_labeler_never_gets_a_task_they_touched(people, ask):
    done, skipped, held, fresh = ask(4, wanted=2)
    rank(done, people.labeler)
    assignments.skip(task=skipped, labeler=people.labeler, reason="other")
    assert claim(people).task == held
    assert claim(people, besides=[held]).task == fresh
    rank(held, people.labeler)
    rank(fresh, people.labeler)
    assert isinstance(claim(people), Nothing)
    assert claim(people, people.labeler2).task == done


def test_nobody_ranks_answers_to_their_own_prompt(people, ask):
    ask(author=people.labeler)
    assert isinstance(claim(people), Nothing)
    assert isinstance(claim(people, people.labeler2), Slot)


def test_a_prompt_in_another_language_waits_for_somebody_who_reads_it(people, ask):
    ask(language="ar")
    people.labeler.languages = ["en", "de"]
    people.labeler2.languages = ["ar"]
    assert isinstance(claim(people), Nothing)
    assert isinstance(claim(people, people.labeler2), Slot)


def test_a_task_of_another_project_is_never_handed_out(people, ask):
    ask()
    found = assignments.claim(project=people.stranger.memberships.get().project, labeler=people.stranger)
    assert found == Nothing(num_held=0, back_at=None)


def test_merely_held_is_not_no_more_tasks(people, ask):
    ask()
    slot = claim(people)
    slot.refresh_from_db()
    nothing = claim(people, people.labeler2)
    assert nothing == Nothing(num_held=1, back_at=slot.lease_until)


def test_what_others_hold_but_i_have_done_is_not_worth_waiting_for(people, ask):
    (task,) = ask(wanted=2)
    rank(task, people.labeler)
    claim(people, people.labeler2)
    assert claim(people) == Nothing(num_held=0, back_at=None)


def test_giving_a_task_back_opens_it_for_others(people, ask):
    (task,) = ask()
    claim(people)
    assert assignments.release(task=task, labeler=people.labeler)
    assert not assignments.release(task=task, labeler=people.labeler)
    assert claim(people, people.labeler2).task == task


def test_nobody_gives_back_what_another_holds(people, ask):
    (task,) = ask()
    claim(people)
    assert not assignments.release(task=task, labeler=people.labeler2)
    assert Slot.objects.get().holder == people.labeler


def test_a_lapsed_slot_opens_and_a_live_one_stays(people, ask):
    ask(2)
    lapsed, live = claim(people), claim(people, people.labeler2)
    lapse(lapsed)
    assert assignments.expire() == 1
    lapsed.refresh_from_db()
    live.refresh_from_db()
    assert (lapsed.state, lapsed.holder) == ("open", None)
    assert (live.state, live.holder) == ("held", people.labeler2)


def test_a_lapsed_slot_is_handed_out_even_if_nobody_sweeps(people, ask):
    (task,) = ask()
    lapse(claim(people))
    assert claim(people, people.labeler2).task == task
    assert Slot.objects.get().holder == people.labeler2


def test_a_renewed_lease_does_not_lapse(people, ask):
    (task,) = ask()
    lapse(claim(people))
    assert assignments.renew(task=task, labeler=people.labeler) is not None
    assert assignments.expire() == 0


def test_renewing_takes_a_lapsed_place_back_only_if_it_is_free(people, ask):
    (task,) = ask()
    lapse(claim(people))
    assignments.expire()
    assert assignments.renew(task=task, labeler=people.labeler) is not None
    lapse(Slot.objects.get())
    assignments.expire()
    claim(people, people.labeler2)
    assert assignments.renew(task=task, labeler=people.labeler) is None
    assert Slot.objects.get().holder == people.labeler2


def test_a_late_submit_fills_its_slot_while_it_is_free(people, ask):
    (task,) = ask()
    lapse(claim(people))
    assignments.expire()
    ranking = rank(task, people.labeler)
    assert ranking.slot.state == "done"
    assert ranking.slot.holder == people.labeler


def test_a_late_submit_to_a_filled_task_is_kept_as_surplus(people, ask):
    (task,) = ask()
    lapse(claim(people))
    assignments.expire()
    claim(people, people.labeler2)
    counted = rank(task, people.labeler2)
    late = rank(task, people.labeler)
    assert late.slot is None
    assert list(Ranking.objects.counted()) == [counted]
    assert Ranking.objects.count() == 2


def test_a_late_submit_never_takes_a_place_from_its_holder(people, ask):
    (task,) = ask()
    lapse(claim(people))
    assignments.expire()
    claim(people, people.labeler2)
    assert rank(task, people.labeler).slot is None
    assert rank(task, people.labeler2).slot is not None


def test_lowering_the_overlap_makes_the_slower_holder_surplus(people, ask):
    (task,) = ask(wanted=2)
    claim(people)
    claim(people, people.labeler2)
    tasks.set_num_wanted(task=task, num_wanted=1)
    assert rank(task, people.labeler2).slot is not None
    assert rank(task, people.labeler).slot is None
    assert list(Slot.objects.values_list("state", flat=True)) == ["done"]


def test_an_expired_slot_of_a_closed_task_goes_instead_of_opening(people, ask):
    (task,) = ask()
    slot = claim(people)
    tasks.close(task=task)
    lapse(slot)
    assignments.expire()
    assert not Slot.objects.exists()


def test_a_skip_keeps_its_reason_and_frees_the_slot(people, ask):
    (task,) = ask()
    claim(people)
    Draft.objects.create(task=task, labeler=people.labeler)
    for _ in range(2):
        assignments.skip(task=task, labeler=people.labeler, reason="not_my_language", note="  Finnish? ")
    skip = Skip.objects.get()
    assert (skip.reason, skip.note) == ("not_my_language", "Finnish?")
    assert Slot.objects.get().state == "open"
    assert not Draft.objects.exists()


def test_an_unknown_reason_skips_nothing(people, ask):
    (task,) = ask()
    claim(people)
    with pytest.raises(assignments.AssignmentError, match="none of the reasons"):
        assignments.skip(task=task, labeler=people.labeler, reason="bored")
    assert not Skip.objects.exists()
    assert Slot.objects.get().state == "held"


def test_the_shown_order_is_a_shuffle_that_a_reload_repeats(people, make_prompt):
    make_prompt(k=9)
    tasks.make_ranking_tasks(
        project=people.project, prompts=Prompt.objects.all(), num_responses=9, num_wanted=1, user=people.manager
    )
    task = Task.objects.get()
    mine = assignments.shown_order(task=task, labeler=people.labeler)
    assert sorted(mine) == list(range(9))
    assert mine == assignments.shown_order(task=task, labeler=people.labeler)
    assert mine != assignments.shown_order(task=task, labeler=people.labeler2)


def test_a_claim_costs_the_same_however_many_tasks_others_hold(people, ask, django_assert_num_queries):
    ask(30)
    for labeler in crowd(people, 10):
        claim(people, labeler)
    # savepoint ×2, the person's lock and standing, what they hold already, the claim itself with its task and prompt
    with django_assert_num_queries(5):
        claim(people)


@pytest.mark.django_db(transaction=True)
def test_twenty_labelers_on_few_slots_never_share_one(people, ask):
    ask(4, wanted=3)
    labelers = crowd(people, 20)
    found = at_once([lambda who=who: claim(people, who) for who in labelers])
    slots = [slot for slot in found if isinstance(slot, Slot)]
    assert len(slots) == len({slot.pk for slot in slots}) == 12
    assert all(nothing.num_held == 4 for nothing in found if isinstance(nothing, Nothing))
    assert Slot.objects.filter(state="held").values("holder").distinct().count() == 12


@pytest.mark.django_db(transaction=True)
def test_twenty_labelers_never_exceed_what_is_wanted(people, ask):
    made = ask(3, wanted=2)
    labelers = crowd(people, 20)
    given = at_once([lambda who=who, n=n: rank(made[n % 3], who) for n, who in enumerate(labelers)])
    assert len([ranking for ranking in given if ranking.slot_id]) == 6
    assert Ranking.objects.count() == 20
    for task in made:
        assert task.slots.filter(state="done").count() == 2


@pytest.mark.django_db(transaction=True)
def test_fifty_clicks_on_next_hold_one_task(people, ask):
    ask(20)
    found = at_once([lambda: claim(people) for _ in range(50)])
    assert len({slot.pk for slot in found}) == 1
    assert Slot.objects.filter(state="held").count() == 1


@pytest.mark.django_db(transaction=True)
def test_fifty_identical_submits_leave_one_row(people, ask):
    (task,) = ask(wanted=3)
    claim(people)
    given = at_once([lambda: rank(task, people.labeler, key="same") for _ in range(50)])
    assert len({ranking.pk for ranking in given}) == 1
    assert Ranking.objects.count() == 1
    assert sorted(task.slots.values_list("state", flat=True)) == ["done", "open", "open"]


@pytest.mark.django_db(transaction=True)
def test_a_submit_and_the_sweeper_at_once_lose_nothing(people, ask):
    made = ask(8)
    for task in made:
        lapse(assignments.claim_task(task=task, labeler=crowd_member(people, task.pk)))
    calls = [lambda task=task: rank(task, User.objects.get(email=f"m{task.pk}@example.org")) for task in made]
    at_once([*calls, assignments.expire, assignments.expire])
    assert Ranking.objects.filter(slot__state="done").count() == 8
    assert not Slot.objects.exclude(state="done").exists()


def crowd_member(people, number):
    user = User.objects.create_user(f"m{number}@example.org", "a long password")
    Membership.objects.create(project=people.project, user=user, role=Role.LABELER)
    return user


def test_the_claim_walks_the_index_of_open_slots_and_probes_the_rest(people, ask):
    """No sort, no join and no scan of what the labeler has done: only then is the cost that of the slots looked at."""
    ask(2)
    claim(people)
    with connection.cursor() as cursor:
        # The plan that a connection keeps, made without knowing for whom.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("DISCARD PLANS")  # one may be kept that was made for tables of other sizes
        cursor.execute("EXPLAIN EXECUTE podium_claim_rank (1, '15 minutes', 1, 'rank', 0, 1, '{en}')")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    # Of four parts; one that begins at the very front may be found by the task's number just as well.
    assert plan.count("slot_open_by_kind") >= 3
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert "Anti Join" not in plan


def test_the_queue_goes_on_where_the_labeler_was_and_comes_round_again(people, ask):
    first, second, third = ask(3)
    assert claim(people).task == first
    assignments.release(task=first, labeler=people.labeler)
    assert claim(people).task == second
    assert claim(people, besides=[second]).task == third
    rank(second, people.labeler)
    rank(third, people.labeler)
    assert claim(people).task == first


def test_what_has_become_more_urgent_comes_first_wherever_the_labeler_was(people, ask):
    first, second, third = ask(3)
    assert claim(people).task == first
    tasks.set_priority(task=third, priority=1)
    assert claim(people, besides=[first]).task == third
    rank(third, people.labeler)
    assert claim(people, besides=[first]).task == second


def test_what_is_open_counts_each_task_once(people, ask):
    done, _, _ = ask(3, wanted=2)
    rank(done, people.labeler)
    assert assignments.open_by_kind(project=people.project, labeler=people.labeler)["rank"] == 2
    assert assignments.open_by_kind(project=people.project, labeler=people.labeler2)["rank"] == 3
