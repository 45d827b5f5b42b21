"""A labeler works only after they have passed: graded by agreement with the reference, with cutoffs."""

import pytest

from labeling.models import Demonstration, Draft, Qualification, QualificationSet, Slot, Task
from labeling.services import answers, assignments, demonstrations, rankings
from labeling.services.quality import places, qualification, references
from labeling.services.quality.references import QualityError
from tests.labeling.quality.conftest import claim, newcomer, rank, taken


@pytest.fixture
def make_set(people, ask):
    """`make_set(n)` → an active set of n tasks whose reference is 1, 2, 3 by position."""

    def make(num=4, flags=None, is_active=True, **fields):
        found = QualificationSet.objects.create(project=people.project, kind="rank", name="First", **fields)
        for source in ask(num):
            made = references.use_as_known_answer(task=source, user=people.manager, qualification_set=found)
            references.give(task=made, ranks=[1, 2, 3], flags=flags or {}, note="", user=people.manager)
        if is_active:
            qualification.activate(qualification_set=found)
        return found

    return make


def do(people, labeler, answered):
    """Rank each task of the set that comes; returns the tasks in their order."""
    done = []
    for ranks in answered:
        slot = taken(people, labeler)
        assert slot.task.purpose == "qualification"
        rank(slot.task, labeler, ranks)
        done.append(slot.task)
    return done


RIGHT, WRONG = [1, 2, 3], [3, 2, 1]


def test_who_has_not_passed_gets_the_tasks_of_the_set_and_no_other(people, make_set):
    found = make_set(2)
    assert [task.qualification_set for task in do(people, people.labeler, [RIGHT, RIGHT])] == [found, found]
    assert taken(people).task.purpose == "work"


def test_who_failed_gets_nothing(people, make_set):
    make_set(2)
    do(people, people.labeler, [WRONG, RIGHT])
    nothing = claim(people)
    assert nothing.why == "qualification"
    assert Qualification.objects.get().state == "failed"
    assert not Slot.objects.filter(state="held").exists()


def test_the_grade_is_the_share_of_all_pairs_that_agree(people, make_set):
    """Of 3 × 3 pairs: all right, one wrong, two of three tied (half each): 3 + 2 + 2 of 9."""
    make_set(3)
    do(people, people.labeler, [[1, 2, 3], [2, 1, 3], [1, 2, 2]])
    result = Qualification.objects.get()
    assert result.score_rankings == pytest.approx((3 + 2 + 2.5) / 9)
    assert result.state == "passed"
    assert result.score_flags is None


def test_below_the_cutoff_is_a_fail_and_at_it_a_pass(people, make_set):
    make_set(1, cutoff_rankings=2 / 3)
    do(people, people.labeler, [[2, 1, 3]])
    do(people, people.labeler2, [[3, 2, 1]])
    states = dict(Qualification.objects.values_list("labeler", "state"))
    assert states == {people.labeler.pk: "passed", people.labeler2.pk: "failed"}


def test_flags_are_graded_by_the_share_of_answers_that_agree(people, make_set):
    """11 flags × 3 responses: one missed and one too many are 31 of 33."""
    flags = {"0": ["Hallucination"]}
    make_set(1, flags=flags)
    task = taken(people).task
    shown = assignments.shown_order(task=task, labeler=people.labeler)
    rank(task, people.labeler, RIGHT, flags={answers.LETTERS[shown.index(1)]: ["Sexual content"]})
    result = Qualification.objects.get()
    assert result.score_flags == pytest.approx(31 / 33)
    assert result.state == "passed"


def test_wrong_flags_fail_who_ranked_rightly(people, make_set):
    make_set(1, flags={"0": list(people.project.flags), "1": list(people.project.flags)})
    do(people, people.labeler, [RIGHT])
    result = Qualification.objects.get()
    assert (result.score_rankings, result.state) == (1.0, "failed")
    assert result.score_flags == pytest.approx(1 / 3)


def test_a_quarter_may_be_skipped_and_no_more(people, make_set):
    make_set(4)
    assignments.skip(task=taken(people).task, labeler=people.labeler, reason="distressing")
    do(people, people.labeler, [RIGHT] * 3)
    assert Qualification.objects.get(labeler=people.labeler).state == "passed"
    for _ in range(2):
        assignments.skip(task=taken(people, people.labeler2).task, labeler=people.labeler2, reason="other")
    do(people, people.labeler2, [RIGHT] * 2)
    assert Qualification.objects.get(labeler=people.labeler2).state == "failed"


def test_skipping_the_last_one_decides_too(people, make_set):
    make_set(4)
    do(people, people.labeler, [RIGHT] * 3)
    assert not Qualification.objects.exists()
    assignments.skip(task=taken(people).task, labeler=people.labeler, reason="other")
    assert Qualification.objects.get().state == "passed"


def test_an_answer_without_an_order_counts_as_skipped(people, make_set):
    make_set(2)
    do(people, people.labeler, [RIGHT])
    none = answers.Answer(outcome="none_acceptable")
    rankings.submit(task=taken(people).task, labeler=people.labeler, idempotency_key="none", answer=none)
    assert Qualification.objects.get().state == "failed"


def test_slots_of_a_set_are_made_for_one_and_never_open(people, make_set):
    found = make_set(1)
    tasks = Task.objects.filter(qualification_set=found)
    assert not Slot.objects.filter(task__in=tasks).exists()
    first, second = taken(people), taken(people, people.labeler2)
    assert first.task == second.task
    assert first != second
    assert set(Slot.objects.filter(task=first.task).values_list("state", flat=True)) == {"held"}
    assert Task.objects.get(pk=first.task.pk).num_wanted == 2


@pytest.mark.parametrize("way", ["release", "expire"])
def test_a_slot_given_back_goes_instead_of_opening(people, make_set, way):
    make_set(1)
    slot = taken(people)
    if way == "release":
        assignments.release(task=slot.task, labeler=people.labeler)
    else:
        Slot.objects.filter(pk=slot.pk).update(lease_until="2020-01-01T00:00Z")
        assert assignments.expire() == 1
    assert not Slot.objects.filter(task=slot.task).exists()
    assert taken(people).task == slot.task


def test_a_late_answer_still_counts(people, make_set):
    make_set(1)
    slot = taken(people)
    assignments.release(task=slot.task, labeler=people.labeler)
    ranking = rank(slot.task, people.labeler, RIGHT)
    assert ranking.slot.state == "done"
    assert Qualification.objects.get().state == "passed"


def test_done_is_never_more_than_wanted(people, make_set):
    make_set(1)
    for number in range(3):
        do(people, newcomer(people, f"n{number}"), [RIGHT])
    task = Task.objects.get(purpose="qualification")
    assert task.slots.filter(state="done").count() == task.num_wanted == 3


def test_a_link_to_a_task_of_the_set_gives_it_to_nobody(people, make_set):
    make_set(1)
    task = taken(people).task
    assert assignments.claim_task(task=task, labeler=people.labeler2) is None
    assert assignments.claim_task(task=task, labeler=people.labeler) is not None


def test_a_lapsed_hold_comes_back_to_whose_draft_it_is(people, make_set):
    make_set(1)
    task = taken(people).task
    Draft.objects.create(task=task, labeler=people.labeler, payload={})
    assignments.release(task=task, labeler=people.labeler)
    assert assignments.renew(task=task, labeler=people.labeler2) is None
    assert assignments.renew(task=task, labeler=people.labeler) is not None


def test_work_by_link_is_closed_until_one_has_passed(people, make_set):
    make_set(1)
    work = Task.objects.filter(purpose="work").first()
    assert assignments.claim_task(task=work, labeler=people.labeler) is None
    do(people, people.labeler, [RIGHT])
    assert assignments.claim_task(task=work, labeler=people.labeler) is not None


def test_reviewers_and_managers_need_not_qualify(people, make_set):
    make_set(2)
    assert taken(people, people.reviewer).task.purpose == "work"
    assert taken(people, people.manager).task.purpose == "work"


def test_another_kind_of_work_stays_open(people, make_set, make_prompt):
    make_set(1)
    do(people, people.labeler, [WRONG])
    prompt = make_prompt("to answer", k=0)
    task = Task.objects.create(project=people.project, kind="demonstrate", prompt=prompt)
    Slot.objects.create(task=task, project=people.project, kind="demonstrate", number=1)
    assert taken(people).task == task


def test_a_manager_lets_somebody_pass(people, make_set):
    found = make_set(1)
    do(people, people.labeler, [WRONG])
    qualification.let_pass(qualification_set=found, labeler=people.labeler, by=people.manager)
    assert taken(people).task.purpose == "work"
    result = Qualification.objects.get()
    assert (result.state, result.decided_by, result.score_rankings) == ("waived", people.manager, 0.0)


def test_a_decided_result_never_changes_by_an_edit(people, make_set):
    make_set(1)
    (task,) = do(people, people.labeler, [WRONG])
    better = answers.Answer(ranks=[RIGHT[p] for p in assignments.shown_order(task=task, labeler=people.labeler)])
    ranking = task.rankings.get()
    rankings.revise(ranking=ranking, labeler=people.labeler, idempotency_key="again", answer=better)
    assert Qualification.objects.get().state == "failed"


def test_nobody_is_asked_about_their_own_prompt_or_a_language_they_do_not_read(people, make_set):
    make_set(3)
    mine, foreign, rest = Task.objects.filter(purpose="qualification").select_related("prompt").order_by("pk")
    type(mine.prompt).objects.filter(pk=mine.prompt_id).update(author=people.labeler)
    type(mine.prompt).objects.filter(pk=foreign.prompt_id).update(language="ar")
    people.labeler.languages = ["en"]
    people.labeler.save()
    assert do(people, people.labeler, [RIGHT]) == [rest]
    assert Qualification.objects.get().state == "passed"


def test_progress_counts_what_is_done(people, make_set):
    make_set(3)
    do(people, people.labeler, [RIGHT])
    (progress,) = qualification.progress(project=people.project, labeler=people.labeler)
    assert (progress.num_done, progress.num_all, progress.result) == (1, 3, None)


def test_a_new_active_set_retires_the_one_before_and_asks_again(people, make_set):
    old = make_set(1)
    do(people, people.labeler, [RIGHT])
    new = QualificationSet.objects.create(project=people.project, kind="rank", name="Second")
    source = Task.objects.filter(purpose="work").first()
    ranking = rank(source, people.labeler2, RIGHT)
    references.use_as_known_answer(task=source, user=people.manager, ranking=ranking, qualification_set=new)
    assert qualification.activate(qualification_set=new) == old
    assert taken(people).task.qualification_set == new


def test_a_set_without_a_reference_for_each_task_is_not_activated(people, ask):
    found = QualificationSet.objects.create(project=people.project, kind="rank", name="First")
    with pytest.raises(QualityError, match="Add a task"):
        qualification.activate(qualification_set=found)
    references.use_as_known_answer(task=ask()[0], user=people.manager, qualification_set=found)
    with pytest.raises(QualityError, match="reference"):
        qualification.activate(qualification_set=found)
    assert QualificationSet.objects.get().state == "draft"


def test_an_active_set_never_changes(people, make_set, ask):
    found = make_set(1)
    with pytest.raises(QualityError, match="draft"):
        references.use_as_known_answer(task=ask()[0], user=people.manager, qualification_set=found)
    with pytest.raises(QualityError, match="draft"):
        qualification.remove(task=Task.objects.get(purpose="qualification"))
    assert Task.objects.filter(qualification_set=found).count() == 1


def test_the_same_responses_are_one_known_answer(people, ask):
    found = QualificationSet.objects.create(project=people.project, kind="rank", name="First")
    (source,) = ask()
    references.use_as_known_answer(task=source, user=people.manager, qualification_set=found)
    with pytest.raises(QualityError, match="already"):
        references.use_as_known_answer(task=source, user=people.manager, qualification_set=found)


def test_an_adopted_ranking_keeps_its_order_of_texts(people, ask):
    """The copy has positions of its own; the reference follows the texts."""
    (source,) = ask(k=6)
    given = [3, 1, 2, 4, 6, 5]
    ranking = rank(source, people.labeler, given)
    made = references.use_as_known_answer(task=source, user=people.manager, ranking=ranking)
    before = dict(zip(source.task_responses.values_list("response_id", flat=True), given, strict=True))
    after = dict(zip(made.task_responses.values_list("response_id", flat=True), made.reference.ranks, strict=True))
    assert before == after


# --- written answers -----------------------------------------------------------------------------------------------


@pytest.fixture
def written_set(people, make_prompt):
    found = QualificationSet.objects.create(project=people.project, kind="demonstrate", name="Writing")
    for number in range(2):
        references.ask_for_demonstration(prompt=make_prompt(f"write {number}", k=0), qualification_set=found)
    qualification.activate(qualification_set=found)
    return found


def write(people, labeler=None):
    labeler = labeler or people.labeler
    slot = taken(people, labeler)
    key = f"{slot.task.pk}-{labeler.pk}"
    return demonstrations.submit(task=slot.task, labeler=labeler, idempotency_key=key, text="Because of the air.")


def grade(demonstration, people, mark, by=None):
    return qualification.grade_demonstration(demonstration=demonstration, grade=mark, note="", by=by or people.reviewer)


def test_written_answers_wait_for_a_reviewer_whose_mean_grade_decides(people, written_set):
    first, second = write(people), write(people)
    assert claim(people).why == "qualification"
    (progress,) = qualification.progress(project=people.project, labeler=people.labeler)
    assert progress.is_waiting
    assert list(qualification.to_grade(people.project)) == [first, second]
    assert grade(first, people, 7) is None
    assert grade(second, people, 5).state == "passed"
    assert Qualification.objects.get().score_grade == 6.0


def test_a_mean_below_the_cutoff_fails(people, written_set):
    for mark in (7, 4):
        grade(write(people), people, mark)
    assert Qualification.objects.get().state == "failed"
    assert claim(people, kinds=["demonstrate"]).why == "qualification"


def test_nobody_grades_their_own(people, written_set):
    with pytest.raises(QualityError, match="Somebody else"):
        grade(write(people), people, 7, by=people.labeler)
    assert Demonstration.objects.filter(grade__isnull=False).count() == 0


def test_what_was_written_as_work_is_not_asked_again(people, written_set, make_prompt):
    task = Task.objects.filter(purpose="qualification").first()
    Demonstration.objects.create(prompt=task.prompt, labeler=people.labeler, idempotency_key="w", text="Air.")
    demonstration = write(people)
    assert demonstration.prompt != task.prompt
    assert grade(demonstration, people, 7).state == "passed"


def test_hands_are_not_lent_by_a_forged_draft_after_the_answer(people, make_set):
    make_set(1)
    (task,) = do(people, people.labeler, [RIGHT])
    Draft.objects.create(task=task, labeler=people.labeler, payload={})
    assert places.hand_again(task=task, labeler=people.labeler) is None
