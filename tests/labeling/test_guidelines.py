"""Guidelines have versions; a change is a new one."""

import threading

import pytest
from django.db import connection
from django.test import Client

from labeling.models import Guideline
from labeling.services import projects
from tests.labeling.conftest import People


def test_publishing_adds_a_version_and_leaves_the_old_one(people: People, client: Client) -> None:
    client.force_login(people.manager)
    client.post("/p/tea/guidelines/publish/", {"text": "Be **kinder**."})
    versions = people.project.guidelines.order_by("version").values_list("version", "text", "author")
    assert list(versions) == [(1, "Be kind.", None), (2, "Be **kinder**.", people.manager.pk)]


def test_a_preview_publishes_nothing(people: People, client: Client) -> None:
    client.force_login(people.manager)
    page = client.post("/p/tea/guidelines/publish/", {"text": "Be **kinder**.", "preview": "1"}).content.decode()
    assert "<strong>kinder</strong>" in page
    assert people.project.guidelines.count() == 1


def test_labelers_read_the_newest_rendered_and_older_ones_say_that_they_are_old(people: People, client: Client) -> None:
    projects.publish_guideline(project=people.project, text="# Rules\n\nBe **kinder**.", by=people.manager)
    client.force_login(people.labeler)
    newest = client.get("/p/tea/guidelines/").content.decode()
    assert "<strong>kinder</strong>" in newest
    assert "Mira" not in newest  # labelers are not told who wrote them
    old = client.get("/p/tea/guidelines/1/").content.decode()
    assert "Be kind." in old
    assert "This is an old version" in old
    assert client.get("/p/tea/guidelines/3/").status_code == 404


def test_an_empty_text_is_not_a_version(people: People, client: Client) -> None:
    client.force_login(people.manager)
    client.post("/p/tea/guidelines/publish/", {"text": "  \n "})
    assert people.project.guidelines.count() == 1


def test_a_project_without_guidelines_says_so(people: People, client: Client) -> None:
    Guideline.objects.all().delete()
    client.force_login(people.labeler)
    assert b"There are no guidelines yet" in client.get("/p/tea/guidelines/").content


@pytest.mark.django_db(transaction=True)
def test_two_who_publish_at_once_get_two_numbers(people: People) -> None:
    barrier = threading.Barrier(2)

    def publish(text: str) -> None:
        barrier.wait()
        projects.publish_guideline(project=people.project, text=text, by=people.manager)
        connection.close()

    threads = [threading.Thread(target=publish, args=[text]) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(people.project.guidelines.values_list("version", flat=True)) == [1, 2, 3]
