"""The manager's and the labeler's pages of quality, as plain forms."""

import pytest
from django.urls import reverse

from labeling.models import Demonstration, Project, Qualification, QualificationSet, Review, Slot, Task
from labeling.services import assignments, demonstrations, work_done
from labeling.services import people as service
from labeling.services.quality import hidden, qualification, references
from tests.labeling.quality.conftest import places, rank, switch, taken


@pytest.fixture
def manager(client, people):
    client.force_login(people.manager)
    return client


@pytest.fixture
def labeler(client, people):
    def log_in():
        client.force_login(people.labeler)
        return client

    return log_in


@pytest.fixture
def known(people, ask):
    """A known answer that Lena ranked the wrong way round."""
    (source,) = ask()
    rank(source, people.labeler2, [1, 2, 3])
    made = references.use_as_known_answer(task=source, user=people.manager, ranking=source.rankings.get())
    rank(made, people.labeler, [4 - rank for rank in made.reference.ranks])
    return made


def page(client, name, *args):
    return client.get(reverse(name, args=["tea", *args])).content.decode()


# --- known answers -------------------------------------------------------------------------------------------------


def test_a_task_becomes_a_known_answer_with_an_order_given_on_the_board(manager, people, ask):
    (task,) = ask()
    answer = manager.post(reverse("task_use", args=["tea", task.uid]), {"where": "hidden"})
    made = Task.objects.get(purpose="gold")
    assert answer.url == reverse("reference", args=["tea", made.uid])
    form = {"rank_A": "2", "rank_B": "1", "rank_C": "3", "note": "B is right."}
    assert manager.post(answer.url, form).url == reverse("known_answers", args=["tea"])
    made.refresh_from_db()
    assert places(made, people.manager, made.reference.ranks) == [2, 1, 3]
    assert (made.reference.note, made.reference.created_by) == ("B is right.", people.manager)
    assert not Slot.objects.filter(task=made).exists()
    assert Task.objects.get(pk=task.pk).purpose == "work"


def test_a_ranking_becomes_the_reference(manager, people, ask):
    (task,) = ask()
    ranking = rank(task, people.labeler, [3, 1, 2])
    manager.post(reverse("task_use", args=["tea", task.uid]), {"where": "hidden", "ranking": str(ranking.uid)})
    made = Task.objects.get(purpose="gold")
    assert dict(zip(ids(task), [3, 1, 2], strict=True)) == dict(zip(ids(made), made.reference.ranks, strict=True))


def ids(task):
    return list(task.task_responses.order_by("position").values_list("response_id", flat=True))


def test_a_reference_without_an_order_is_refused(manager, people, ask):
    (task,) = ask()
    manager.post(reverse("task_use", args=["tea", task.uid]), {"where": "hidden"})
    made = Task.objects.get(purpose="gold")
    answer = manager.post(reverse("reference", args=["tea", made.uid]), {"outcome": "none_acceptable"})
    assert answer.status_code == 422
    assert not hasattr(Task.objects.get(pk=made.pk), "reference")


def test_the_same_task_twice_is_said_and_not_made(manager, people, ask):
    (task,) = ask()
    for _ in range(2):
        answer = manager.post(reverse("task_use", args=["tea", task.uid]), {"where": "hidden"}, follow=True)
    assert "already" in answer.content.decode()
    assert Task.objects.filter(purpose="gold").count() == 1


def test_a_ranking_of_another_task_is_no_reference(manager, people, ask):
    one, other = ask(2)
    ranking = rank(other, people.labeler, [1, 2, 3])
    answer = manager.post(reverse("task_use", args=["tea", one.uid]), {"where": "hidden", "ranking": str(ranking.uid)})
    assert answer.status_code == 404
    assert not Task.objects.filter(purpose="gold").exists()


def test_the_quality_page_names_who_erred_and_where(manager, people, known):
    html = page(manager, "quality")
    assert "Lena" in html
    assert "0.0 %" in html
    assert reverse("ranking", args=["tea", known.rankings.get().uid]) in html
    assert "Luis" not in html  # did no hidden task


def test_the_page_of_a_hidden_ranking_says_what_would_have_been_right(manager, people, known):
    html = page(manager, "ranking", known.rankings.get().uid)
    assert "Right order" in html
    assert "0 %" in html.split("Agrees on")[1][:200]
    assert "Right order" not in page(manager, "ranking", Task.objects.get(purpose="work").rankings.get().uid)


def test_the_page_of_a_labeler_lists_their_hidden_tasks_worst_first(manager, people, known):
    html = page(manager, "quality_person", people.labeler.uid)
    assert "on known answers" in html
    assert "Nothing is graded yet" in page(manager, "quality_person", people.labeler2.uid)


def test_known_answers_that_labelers_get_wrong_come_first(manager, people, known, ask):
    html = page(manager, "known_answers")
    assert "In use" in html
    assert "0.0 %" in html


def test_lists_show_work_unless_asked_and_name_the_purpose(manager, people, known):
    assert page(manager, "tasks").count("Known answer</span>") == 0
    assert "Known answer</span>" in manager.get(reverse("tasks", args=["tea"]) + "?purpose=gold").content.decode()
    ranking = known.rankings.get()
    address = reverse("ranking", args=["tea", ranking.uid])
    assert address not in page(manager, "rankings")
    assert address in manager.get(reverse("rankings", args=["tea"]) + "?purpose=all").content.decode()
    assert "Known answer</span>" in manager.get(address).content.decode()


def test_the_number_wanted_of_a_known_answer_is_not_set_by_hand(manager, people, known):
    before = Task.objects.get(pk=known.pk).num_wanted
    manager.post(reverse("task_change", args=["tea", known.uid]), {"num_wanted": "9", "priority": "0"})
    assert Task.objects.get(pk=known.pk).num_wanted == before
    assert not Slot.objects.filter(task=known, state="open").exists()


def test_a_projects_pace_is_that_of_its_work_and_a_persons_all_they_did(people, known):
    """One ranking of work by Luis, one of a known answer by Lena, whose time is hers all the same."""
    assert work_done.by_day(people.project, days=1)[0].num == 1
    assert work_done.by_last_days(people.project, days=1) == [1]
    assert work_done.by_day(people.project, days=1, labeler=people.labeler)[0].num == 1
    assert work_done.hours(people.project, labeler=people.labeler).num_done == 1


def test_reopening_a_known_answer_opens_no_slot(manager, people, known):
    for state in ("closed", "open"):
        manager.post(reverse("task_state", args=["tea", known.uid]), {"state": state})
    assert not Slot.objects.filter(task=known, state="open").exists()


def test_a_deactivated_labelers_hidden_slots_go(manager, people, known):
    slot = hidden.places.hand(task=known, labeler=people.labeler2)
    manager.post(reverse("person_deactivate", args=["tea", people.labeler2.uid]))
    assert not Slot.objects.filter(pk=slot.pk).exists()


# --- sets ----------------------------------------------------------------------------------------------------------


def test_a_set_is_made_filled_and_activated(manager, people, ask):
    (task,) = ask()
    form = {"name": "First", "kind": "rank", "cutoff_rankings": "80", "cutoff_flags": "70", "cutoff_grade": "6"}
    address = manager.post(reverse("qualification_sets", args=["tea"]), form).url
    found = QualificationSet.objects.get()
    assert (found.cutoff_rankings, found.cutoff_flags, found.state) == (0.8, 0.7, "draft")
    assert "Add a task first" in manager.get(address).content.decode()
    answer = manager.post(reverse("qualification_add", args=["tea", found.uid]), {"task": str(task.uid)})
    assert manager.post(answer.url, {"rank_A": "1", "rank_B": "2", "rank_C": "3"}).url == address
    manager.post(reverse("qualification_change", args=["tea", found.uid]), {"action": "activate"})
    assert QualificationSet.objects.get().state == "active"
    assert "0 of 1 done" in manager.get(address).content.decode()


def test_a_name_taken_is_said(manager, people):
    QualificationSet.objects.create(project=people.project, kind="rank", name="First")
    form = {"name": "First", "kind": "rank", "cutoff_rankings": "80", "cutoff_flags": "70", "cutoff_grade": "6"}
    assert (
        "Another set has this name" in manager.post(reverse("qualification_sets", args=["tea"]), form).content.decode()
    )
    assert QualificationSet.objects.count() == 1


def test_a_task_is_taken_out_of_a_draft(manager, people, ask):
    found = QualificationSet.objects.create(project=people.project, kind="rank", name="First")
    made = references.use_as_known_answer(task=ask()[0], user=people.manager, qualification_set=found)
    manager.post(reverse("qualification_change", args=["tea", found.uid]), {"action": "remove", "task": str(made.uid)})
    assert not Task.objects.filter(pk=made.pk).exists()


@pytest.fixture
def active(people, ask):
    found = QualificationSet.objects.create(project=people.project, kind="rank", name="First")
    for source in ask(2):
        made = references.use_as_known_answer(task=source, user=people.manager, qualification_set=found)
        references.give(task=made, ranks=[1, 2, 3], flags={}, note="", user=people.manager)
    qualification.activate(qualification_set=found)
    return found


def test_the_start_page_says_how_far_one_is_and_how_it_ended(labeler, people, active):
    client = labeler()
    html = page(client, "work")
    assert "Qualification: 0 of 2 done" in html
    assert "2 open for you" in html
    rank(taken(people).task, people.labeler, [3, 2, 1])
    assert "Qualification: 1 of 2 done" in page(client, "work")
    assert assignments.open_by_kind(project=people.project, labeler=people.labeler)["rank"] == 1
    rank(taken(people).task, people.labeler, [3, 2, 1])
    html = page(client, "work")
    assert "Qualification: not passed" in html
    assert "Ask a manager" in html
    assert "0 %" not in html
    assert assignments.open_by_kind(project=people.project, labeler=people.labeler)["rank"] == 0


def test_who_asks_for_work_unpassed_is_told_why_there_is_none(labeler, people, active):
    for _ in range(2):
        rank(taken(people).task, people.labeler, [3, 2, 1])
    answer = labeler().post(reverse("work_next", args=["tea"]), {"kind": "rank"})
    assert "Qualification: not passed" in answer.content.decode()


def test_the_manager_sees_scores_and_lets_somebody_pass(manager, people, active):
    for _ in range(2):
        rank(taken(people).task, people.labeler, [3, 2, 1])
    html = page(manager, "qualification_set", active.uid)
    assert "Not passed" in html
    assert "0.0 %" in html
    manager.post(reverse("qualification_let_pass", args=["tea", active.uid]), {"labeler": str(people.labeler.uid)})
    assert Qualification.objects.get().state == "waived"
    assert "Let pass</span>" in page(manager, "qualification_set", active.uid)


def test_nobody_from_elsewhere_is_let_pass(manager, people, active):
    answer = manager.post(
        reverse("qualification_let_pass", args=["tea", active.uid]), {"labeler": str(people.stranger.uid)}
    )
    assert answer.status_code == 404
    assert not Qualification.objects.exists()


# --- grades of written answers -------------------------------------------------------------------------------------


@pytest.fixture
def written(people, make_prompt):
    found = QualificationSet.objects.create(project=people.project, kind="demonstrate", name="Writing")
    references.ask_for_demonstration(prompt=make_prompt("write", k=0), qualification_set=found)
    qualification.activate(qualification_set=found)
    task = taken(people).task
    return demonstrations.submit(task=task, labeler=people.labeler, idempotency_key="w", text="Because of the air.")


def test_a_reviewer_grades_without_seeing_who_wrote(client, people, written):
    client.force_login(people.reviewer)
    assert "Because of the air." in page(client, "grades")
    html = page(client, "grade", written.uid)
    assert "Lena" not in html
    answer = client.post(reverse("grade", args=["tea", written.uid]), {"grade": "7", "note": "Clear."})
    assert answer.url == reverse("grades", args=["tea"])
    assert (written.grade.grade, written.grade.graded_by) == (7, people.reviewer)
    assert Qualification.objects.get().state == "passed"


@pytest.mark.parametrize("mark", ["", "0", "8", "x"])
def test_a_grade_that_is_none_is_refused(client, people, written, mark):
    client.force_login(people.reviewer)
    assert client.post(reverse("grade", args=["tea", written.uid]), {"grade": mark}).status_code == 422
    assert not Demonstration.objects.filter(grade__isnull=False).exists()


def test_answers_written_to_qualify_are_not_demonstrations_to_train_on(people, written):
    assert Demonstration.objects.current().count() == 1
    assert not Demonstration.objects.counted().exists()
    assert service.figures(user=people.labeler, project=people.project)["num_demonstrations"] == 0
    ((_, own),) = service.own_figures(user=people.labeler, projects=Project.objects.filter(slug="tea"))
    assert own["num_demonstrations"] == 1


# --- reviews and choice --------------------------------------------------------------------------------------------


def test_a_review_is_asked_for_from_the_task_and_listed(manager, people, ask):
    (task,) = ask()
    assert "Ask for review" in page(manager, "task", task.uid)
    manager.post(reverse("task_review", args=["tea", task.uid]))
    assert Review.objects.get().opened_by == people.manager
    assert "Waits for a reviewer" in page(manager, "task", task.uid)
    assert "Asked for" in page(manager, "quality_reviews")
    assert (
        "Nothing was asked"
        in manager.post(reverse("task_review", args=["tea", task.uid]), follow=True).content.decode()
    )


def test_the_form_makes_tasks_of_a_random_sample(manager, people, make_prompt):
    prompts = [make_prompt(f"p{number}", k=2) for number in range(6)]
    form = {
        "action": "rank",
        "done": "1",
        "prompt": [str(prompt.uid) for prompt in prompts],
        "num_responses": "2",
        "num_wanted": "1",
        "priority": "0",
        "way": "random",
        "num_prompts": "3",
    }
    manager.post(reverse("prompts_select", args=["tea"]), form)
    assert list(Task.objects.values_list("stream", flat=True)) == ["random"] * 3


def test_the_form_chooses_by_disagreement_beside_a_random_share(manager, people, ask, make_prompt):
    torn, calm = ask(2, k=2, wanted=2)
    for task, second in ((torn, [2, 1]), (calm, [1, 2])):
        rank(task, people.labeler, [1, 2])
        rank(task, people.labeler2, second)
    others = [make_prompt(f"q{number}", k=3) for number in range(4)]
    form = {"action": "rank", "done": "1", "num_responses": "3", "num_wanted": "1", "priority": "0"}
    form |= {"way": "disagreement", "num_prompts": "2", "random_percent": "50"}
    form["prompt"] = [str(prompt.uid) for prompt in others]
    manager.post(reverse("prompts_select", args=["tea"]), form)
    made = Task.objects.exclude(pk__in=[torn.pk, calm.pk])
    assert sorted(made.values_list("stream", flat=True)) == ["active", "random"]


def test_streams_are_reported_apart(manager, people, ask):
    one, other = ask(2, wanted=2)
    Task.objects.filter(pk=other.pk).update(stream="random")
    for task in (one, other):
        rank(task, people.labeler, [1, 2, 3])
        rank(task, people.labeler2, [1, 2, 3] if task == one else [3, 2, 1])
    html = page(manager, "quality").split("By how tasks were chosen")[1]
    rows = html.split("<tr>")[2:]
    assert "In order" in rows[0]
    assert "100.0 %" in rows[0]
    assert "Random control" in rows[1]
    assert "0.0 %" in rows[1]


def test_who_has_read_the_guidelines_is_listed(manager, people):
    switch(people.project, must_read_guidelines=True)
    html = page(manager, "quality_readings")
    assert "0 of 4 have read version 1" in html
    assert "Everybody must read the new version" in page(manager, "guideline_publish")
