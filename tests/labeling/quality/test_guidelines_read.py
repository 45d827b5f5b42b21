"""Where guidelines must be read, nobody gets work before: on no path, and again after each new version."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.models import Guideline, GuidelineReading, Slot
from labeling.services import assignments, projects
from labeling.services.assignments import Nothing
from labeling.services.quality import guidelines_read
from labeling.services.quality.guidelines_read import Line
from tests.labeling.quality.conftest import claim, rank, switch, taken


@pytest.fixture
def strict(people, ask):
    """A project in which one must read, with two open tasks."""
    switch(people.project, must_read_guidelines=True)
    people.tasks = ask(2)
    return people


def confirm(people, version=1, labeler=None):
    return guidelines_read.confirm(project=people.project, labeler=labeler or people.labeler, version=version)


def test_no_claim_before_it_is_read(strict):
    assert claim(strict) == Nothing(num_held=0, back_at=None, why="guidelines")
    assert not Slot.objects.filter(state="held").exists()


def test_no_claim_by_link_before_it_is_read(strict):
    assert assignments.claim_task(task=strict.tasks[0], labeler=strict.labeler) is None
    assert assignments.renew(task=strict.tasks[0], labeler=strict.labeler) is None
    assert not Slot.objects.filter(state="held").exists()


def test_who_confirmed_gets_work_and_others_still_do_not(strict):
    assert confirm(strict)
    assert taken(strict).task == strict.tasks[0]
    assert isinstance(claim(strict, strict.labeler2), Nothing)


def test_a_new_version_must_be_read_again_and_the_task_in_hand_waits(strict):
    confirm(strict)
    slot = taken(strict)
    projects.publish_guideline(project=strict.project, text="Be kind and brief.", by=strict.manager)
    assert claim(strict).why == "guidelines"
    confirm(strict, version=2)
    assert taken(strict) == slot


def test_what_was_begun_is_taken_in_all_the_same(strict):
    confirm(strict)
    slot = taken(strict)
    projects.publish_guideline(project=strict.project, text="Be kind and brief.", by=strict.manager)
    assert rank(slot.task, strict.labeler, [1, 2, 3]).slot == slot


def test_only_the_version_that_holds_can_be_confirmed(strict):
    projects.publish_guideline(project=strict.project, text="Be kind and brief.", by=strict.manager)
    assert not confirm(strict, version=1)
    assert not GuidelineReading.objects.exists()


def test_confirming_twice_is_one_row(strict):
    assert confirm(strict)
    assert confirm(strict)
    assert GuidelineReading.objects.count() == 1


def test_a_project_without_guidelines_has_nothing_to_read(strict):
    Guideline.objects.filter(project=strict.project).delete()
    assert taken(strict)


def test_a_project_that_does_not_ask_hands_out_work_unread(people, ask):
    ask()
    assert taken(people)
    assert not GuidelineReading.objects.exists()


def test_a_claim_asks_the_database_no_more_often_than_without_all_this(people, ask, settings):
    """The facts come with the lock that each claim takes anyway."""
    settings.PREPARED_STATEMENTS = False  # so that what is sent says what it asks
    ask()
    with CaptureQueriesContext(connection) as asked:
        taken(people)
    tables = ("labeling_qualification", "labeling_guidelinereading")
    about_quality = [query["sql"] for query in asked if any(table in query["sql"] for table in tables)]
    assert len(about_quality) == 1
    assert "pg_advisory_xact_lock" in about_quality[0]


def test_changes_show_what_is_gone_and_what_is_new():
    old, new = "one\ntwo\nthree\nfour\nfive\nsix", "one\n2\nthree\nfour\nfive\nsix"
    assert guidelines_read.changes(old=old, new=new) == [
        Line("same", "one"),
        Line("removed", "two"),
        Line("added", "2"),
        Line("same", "three"),
        Line("same", "four"),
        Line("gap"),
    ]


def test_the_same_text_has_no_changes():
    assert guidelines_read.changes(old="one\ntwo", new="one\ntwo") == []


def test_managers_see_who_has_read_what(strict):
    confirm(strict)
    found = {reader.membership.user: (reader.version, reader.is_current) for reader in readers(strict)}
    assert found[strict.labeler] == (1, True)
    assert found[strict.labeler2] == (None, False)
    assert strict.stranger not in found
    projects.publish_guideline(project=strict.project, text="Be kind and brief.", by=strict.manager)
    assert {reader.membership.user: reader.is_current for reader in readers(strict)}[strict.labeler] is False


def readers(people):
    return list(guidelines_read.readers(project=people.project))


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(client, strict):
    client.force_login(strict.labeler)
    return client


def test_start_leads_to_the_guidelines(reader, strict):
    answer = reader.post(reverse("work_next", args=["tea"]), {"kind": "rank"})
    assert answer.url.startswith(reverse("guidelines_read", args=["tea"]))


def test_a_link_to_a_task_leads_to_the_guidelines_and_back(reader, strict):
    page = reverse("work_task", args=["tea", strict.tasks[1].uid])
    answer = reader.get(page)
    assert answer.url.startswith(reverse("guidelines_read", args=["tea"]))
    assert reader.post(answer.url, {"version": "1"}).url == page
    assert GuidelineReading.objects.get().user == strict.labeler


def test_the_page_says_what_changed_since_the_version_read_last(reader, strict):
    confirm(strict)
    projects.publish_guideline(project=strict.project, text="Be kind and brief.", by=strict.manager)
    html = reader.get(reverse("guidelines_read", args=["tea"])).content.decode()
    assert "<del>Be kind.</del>" in html
    assert "<ins>Be kind and brief.</ins>" in html
    assert "I have read this" in html


def test_an_outdated_page_is_not_a_reading_of_the_new_version(reader, strict):
    projects.publish_guideline(project=strict.project, text="Be kind and brief.", by=strict.manager)
    answer = reader.post(reverse("guidelines_read", args=["tea"]), {"version": "1"}, follow=True)
    assert "A new version was published" in answer.content.decode()
    assert not GuidelineReading.objects.exists()


def test_it_never_leads_to_another_site(reader, strict):
    address = reverse("guidelines_read", args=["tea"]) + "?next=https://evil.example/"
    assert reader.post(address, {"version": "1"}).url == reverse("work", args=["tea"])


def test_the_api_says_why_there_is_nothing(reader, strict):
    answer = reader.post(reverse("api_next", args=["tea"]), {}, content_type="application/json").json()
    assert answer["sheet"] is None
    assert answer["url"] is None
    assert answer["nothing"]["why"] == "guidelines"
