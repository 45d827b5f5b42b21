"""Slots under any order of what people, clocks and managers do: hypothesis looks for an order that breaks a promise.

After every step: no more judgements than wanted; open, held and done add up; one slot and one current ranking per
person and task; all that was acknowledged is there as it was sent; what is surplus is never counted.

PODIUM_STATE_MACHINE=2000 runs that many random histories instead of the few of an ordinary run.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.db import transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from labeling.models import Membership, Prompt, Ranking, Role, Skip, Slot, Task, User
from labeling.services import answers, assignments, rankings, tasks, voids
from labeling.services.answers import Answer, AnswerError
from labeling.services.assignments import AssignmentError, Nothing
from labeling.services.rankings import AlreadyRanked
from labeling.services.tasks import TaskError

NUM_TASKS, NUM_LABELERS, NUM_RESPONSES = 2, 3, 2  # few, so that they meet often
NUM_EXAMPLES = int(os.environ.get("PODIUM_STATE_MACHINE", "0"))
# The same histories each time, so that a red run is about the change at hand; the bigger run looks further.
PROFILE = settings(
    max_examples=NUM_EXAMPLES or 22,
    stateful_step_count=80 if NUM_EXAMPLES else 50,
    derandomize=not NUM_EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink] if NUM_EXAMPLES else [Phase.generate],  # making it short takes minutes
    print_blob=True,
)

which_task = st.integers(0, NUM_TASKS - 1)
which_labeler = st.integers(0, NUM_LABELERS - 1)
some_ranks = st.lists(st.integers(1, NUM_RESPONSES), min_size=NUM_RESPONSES, max_size=NUM_RESPONSES)


@dataclass
class Sent:
    """What somebody was told is in."""

    key: str
    uid: str
    ranks: list[int]  # by place, as the labeler sees them, without gaps
    filled_a_slot: bool


class Floor(RuleBasedStateMachine):
    """A few tasks and a few people, and beside the database a notebook of what each of them was told."""

    tasks: Sequence[Task]
    labelers: Sequence[User]

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        caches["process"].clear()  # where labelers were in the queue: each history begins at its start
        self.sent: dict[tuple[int, int], list[Sent]] = {}  # (task, labeler) → revisions, oldest first
        self.skipped: set[tuple[int, int]] = set()
        self.voided: set[str] = set()
        self.num_keys = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)

    # --- a labeler takes, keeps, gives back ----------------------------------------------------------------------

    @rule(labeler=which_labeler, is_ahead=st.booleans())
    def claim(self, labeler: int, is_ahead: bool) -> None:
        who = self.labelers[labeler]
        at_hand = [slot.task for slot in self.held(who)]
        found = assignments.claim(project=self.project, labeler=who, besides=at_hand if is_ahead else [])
        if isinstance(found, Slot):
            assert found.holder_id == who.pk
            assert not (is_ahead and found.task in at_hand)
            self.may_have(found.task, who)
        elif not found.holds_enough:
            assert not self.free_tasks(who), "“nothing for you” while a task is free"
        assert isinstance(found, Slot | Nothing)

    @rule()
    def everybody_claims(self) -> None:
        for labeler in range(NUM_LABELERS):
            self.claim(labeler, False)

    @rule(task=which_task, labeler=which_labeler, is_renewal=st.booleans())
    def follow_a_link_or_renew(self, task: int, labeler: int, is_renewal: bool) -> None:
        who = self.labelers[labeler]
        if is_renewal:
            has_it = assignments.renew(task=self.task(task), labeler=who) is not None
        else:
            has_it = assignments.claim_task(task=self.task(task), labeler=who) is not None
        assert has_it == (self.tasks[task] in [slot.task for slot in self.held(who)])
        if has_it:
            self.may_have(self.tasks[task], who)

    @precondition(lambda self: self.all_held())
    @rule(data=st.data())
    def give_back_what_is_held(self, data: st.DataObject) -> None:
        task, labeler = data.draw(st.sampled_from(self.all_held()))
        assert assignments.release(task=self.task(task), labeler=self.labelers[labeler])
        assert not assignments.release(task=self.task(task), labeler=self.labelers[labeler])

    @rule(task=which_task, labeler=which_labeler)
    def skip(self, task: int, labeler: int) -> None:
        who, here = self.labelers[labeler], (task, labeler)
        if here in self.sent:
            with pytest.raises(AssignmentError):
                assignments.skip(task=self.task(task), labeler=who, reason="other")
            return
        assignments.skip(task=self.task(task), labeler=who, reason="other")
        self.skipped.add(here)

    # --- clocks --------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.all_held())
    @rule(data=st.data())
    def let_a_lease_run_out(self, data: st.DataObject) -> None:
        task, labeler = data.draw(st.sampled_from(self.all_held()))
        mine = Slot.objects.filter(task=self.tasks[task], holder=self.labelers[labeler], state="held")
        mine.update(lease_until=Now() - timedelta(seconds=1))

    @rule()
    def sweep(self) -> None:
        assignments.expire()
        assert not Slot.objects.filter(state="held", lease_until__lt=Now()).exists()

    # --- answers: in time, late, twice, changed ------------------------------------------------------------------

    @rule(task=which_task, labeler=which_labeler, ranks=some_ranks)
    def submit(self, task: int, labeler: int, ranks: list[int]) -> None:
        """With or without holding the task: whoever answers late is told that it is in, too."""
        here, key = (task, labeler), self.new_key()
        if here in self.sent:
            self.submit_again(here, key, ranks)
            return
        num_wanted, num_done = self.task(task).num_wanted, self.num_done(task)
        ranking = self.send(here, key, ranks)
        self.note(here, key, ranks, ranking)
        self.skipped.discard(here)  # a late answer outweighs an early skip
        assert num_done < num_wanted or ranking.slot_id is None

    @precondition(lambda self: self.all_held())
    @rule(data=st.data(), ranks=some_ranks)
    def answer_what_is_held(self, data: st.DataObject, ranks: list[int]) -> None:
        self.submit(*data.draw(st.sampled_from(self.all_held())), ranks)

    def submit_again(self, here: tuple[int, int], key: str, ranks: list[int]) -> None:
        """Another key is another try: the same answer is that row; another one has to go by History."""
        latest = self.sent[here][-1]
        if answers.dense(ranks) == latest.ranks:
            assert str(self.send(here, key, ranks).uid) == latest.uid
        else:
            with pytest.raises(AlreadyRanked):
                self.send(here, key, ranks)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), task=which_task, labeler=which_labeler, ranks=some_ranks)
    def use_a_key_again(self, data: st.DataObject, task: int, labeler: int, ranks: list[int]) -> None:
        """For the same task it is the same answer, whatever comes with it; for another one it is refused."""
        here = data.draw(st.sampled_from(sorted(self.sent)))
        sent = data.draw(st.sampled_from(self.sent[here]))
        assert str(self.send(here, sent.key, ranks).uid) == sent.uid
        if here != (task, labeler):
            with pytest.raises(AnswerError):
                self.send((task, labeler), sent.key, ranks)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), ranks=some_ranks, is_stale=st.booleans())
    def revise(self, data: st.DataObject, ranks: list[int], is_stale: bool) -> None:
        here = data.draw(st.sampled_from(sorted(self.sent)))
        seen = self.sent[here][0 if is_stale else -1]
        ranking, who, key = Ranking.objects.get(uid=seen.uid), self.labelers[here[1]], self.new_key()
        revise: Callable[[], Ranking] = lambda: rankings.revise(  # noqa: E731
            ranking=ranking, labeler=who, idempotency_key=key, answer=Answer(ranks=ranks)
        )
        if self.sent[here][-1].uid in self.voided:
            with pytest.raises(AnswerError):
                revise()
        elif seen is not self.sent[here][-1]:
            with pytest.raises(AlreadyRanked):
                revise()
        else:
            self.note(here, key, ranks, revise())

    # --- the manager ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        latest = self.sent[data.draw(st.sampled_from(sorted(self.sent)))][-1]
        is_new = voids.void(ranking=Ranking.objects.get(uid=latest.uid), reason="wrong", user=self.manager)
        assert is_new == (latest.uid not in self.voided)
        self.voided.add(latest.uid)

    @rule(task=which_task, step=st.sampled_from([-1, 1]))
    def want_more_or_fewer(self, task: int, step: int) -> None:
        num_wanted = self.task(task).num_wanted + step
        if num_wanted < max(1, self.num_done(task)):
            with pytest.raises(TaskError):
                tasks.set_num_wanted(task=self.task(task), num_wanted=num_wanted)
        elif num_wanted <= NUM_LABELERS + 1:
            tasks.set_num_wanted(task=self.task(task), num_wanted=num_wanted)

    @rule(task=which_task, act=st.sampled_from(["close", "reopen", "reopen", "hurry"]))
    def close_or_reopen(self, task: int, act: str) -> None:
        if act == "close":
            tasks.close(task=self.task(task))
        elif act == "reopen":
            tasks.reopen(task=self.task(task))
        else:
            tasks.set_priority(task=self.task(task), priority=1 - self.task(task).priority)

    # --- what must hold at any moment ----------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        slots, rows = list(Slot.objects.all()), list(Ranking.objects.select_related("slot"))
        self.places_add_up(slots)
        self.nobody_holds_what_they_have_judged_or_skipped(slots)
        self.all_that_was_acknowledged_is_there_as_it_was_sent(rows)
        self.what_counts_fills_a_slot_and_surplus_never_counts(rows, slots)

    def places_add_up(self, slots: list[Slot]) -> None:
        """Open, held and done are what is wanted; nobody has two places in a task."""
        for task in Task.objects.filter(pk__in=[task.pk for task in self.tasks]):
            states = Counter(slot.state for slot in slots if slot.task_id == task.pk)
            assert states["done"] <= task.num_wanted
            still_wanted = max(0, task.num_wanted - states["done"] - states["held"])
            assert states["open"] == (still_wanted if task.state == "open" else 0)
        taken = [(slot.task_id, slot.holder_id) for slot in slots if slot.state != "open"]
        assert len(taken) == len(set(taken))

    def nobody_holds_what_they_have_judged_or_skipped(self, slots: list[Slot]) -> None:
        held = {(slot.task_id, slot.holder_id) for slot in slots if slot.state == "held"}
        assert not held & set(Ranking.objects.values_list("task", "labeler"))
        assert not held & set(Skip.objects.values_list("task", "labeler"))

    def all_that_was_acknowledged_is_there_as_it_was_sent(self, rows: list[Ranking]) -> None:
        stored = {str(row.uid): row for row in rows}
        told = [(here, number, sent) for here, all_ in self.sent.items() for number, sent in enumerate(all_, start=1)]
        assert len(stored) == len(told), "a row that nobody was told of"
        for (task, labeler), number, sent in told:
            row = stored[sent.uid]
            assert (row.task_id, row.labeler_id) == (self.tasks[task].pk, self.labelers[labeler].pk)
            assert (row.idempotency_key, row.revision) == (sent.key, number)
            assert answers.from_ranking(row).ranks == sent.ranks
            assert (row.slot_id is not None) == sent.filled_a_slot

    def what_counts_fills_a_slot_and_surplus_never_counts(self, rows: list[Ranking], slots: list[Slot]) -> None:
        counted = list(Ranking.objects.counted())
        standing = {revisions[-1].uid for revisions in self.sent.values() if revisions[-1].filled_a_slot}
        assert {str(row.uid) for row in counted} == standing - self.voided
        people = [(row.task_id, row.labeler_id) for row in counted]
        assert len(people) == len(set(people)), "two current rankings of one person"
        filling = [row for row in rows if row.slot is not None]
        assert all((row.slot.state, row.slot.holder_id) == ("done", row.labeler_id) for row in filling if row.slot)
        num_first = sum(row.revision == 1 for row in filling)
        assert num_first == sum(slot.state == "done" for slot in slots)

    # --- notebook ------------------------------------------------------------------------------------------------

    def send(self, here: tuple[int, int], key: str, ranks: list[int]) -> Ranking:
        task, labeler = self.task(here[0]), self.labelers[here[1]]
        return rankings.submit(task=task, labeler=labeler, idempotency_key=key, answer=Answer(ranks=ranks))

    def note(self, here: tuple[int, int], key: str, ranks: list[int], ranking: Ranking) -> None:
        sent = Sent(key, str(ranking.uid), answers.dense(ranks), ranking.slot_id is not None)
        self.sent.setdefault(here, []).append(sent)

    def new_key(self) -> str:
        self.num_keys += 1
        return f"key {self.num_keys}"

    def task(self, number: int) -> Task:
        """As it stands now."""
        return Task.objects.select_related("project").get(pk=self.tasks[number].pk)

    def held(self, who: User) -> list[Slot]:
        return list(Slot.objects.filter(holder=who, state="held").select_related("task"))

    def all_held(self) -> list[tuple[int, int]]:
        tasks, labelers = [task.pk for task in self.tasks], [labeler.pk for labeler in self.labelers]
        held = Slot.objects.filter(state="held").order_by("pk").values_list("task", "holder")
        return [(tasks.index(task), labelers.index(labeler)) for task, labeler in held]

    def num_done(self, task: int) -> int:
        return Slot.objects.filter(task=self.tasks[task], state="done").count()

    def may_have(self, task: Task, who: User) -> None:
        here = (self.tasks.index(task), self.labelers.index(who))
        assert here not in self.sent, "handed a task they had judged"
        assert here not in self.skipped, "handed a task they had skipped"

    def free_tasks(self, who: User) -> list[Task]:
        """Tasks with a place that nobody has, which this person has never touched."""
        labeler = self.labelers.index(who)
        touched = {task for task, by in {*self.sent, *self.skipped} if by == labeler}
        at_hand = [slot.task for slot in self.held(who)]
        free = Task.objects.filter(slots__state="open").distinct()
        return [task for task in free if self.tasks.index(task) not in touched and task not in at_hand]


@pytest.mark.django_db
def test_no_order_of_events_breaks_a_promise_of_the_slots(people: Any, make_prompt: Any) -> None:
    project = people.project
    prompts = [make_prompt(f"prompt {number}", k=NUM_RESPONSES) for number in range(NUM_TASKS)]
    for number, prompt in enumerate(prompts):
        tasks.make_ranking_tasks(
            project=project,
            prompts=Prompt.objects.filter(pk=prompt.pk),
            num_responses=NUM_RESPONSES,
            num_wanted=2 - number,
            user=people.manager,
        )
    crowd = [people.labeler, people.labeler2]
    for number in range(NUM_LABELERS - len(crowd)):
        user = User.objects.create_user(f"crowd{number}@example.org", "a long password")
        Membership.objects.create(project=project, user=user, role=Role.LABELER)
        crowd.append(user)
    here = {
        "project": project,
        "manager": people.manager,
        "tasks": list(Task.objects.order_by("pk")),
        "labelers": crowd,
    }
    run_state_machine_as_test(type("FloorHere", (Floor,), here), settings=PROFILE)
