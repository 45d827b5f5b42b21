"""What the server gives for work without a network: the service worker, a page of nobody, and whose each page is."""

import json
import re

import pytest
from django.contrib.staticfiles import finders
from django.urls import reverse

from labeling.models import Ranking, Task
from labeling.services import tasks


def told(client):
    text = client.get("/sw.js").content.decode()
    found = re.fullmatch(r"self\.PODIUM = (\{.*\});\nimportScripts\((\".*\")\);\n", text)
    assert found, text
    return json.loads(found[1]), json.loads(found[2])


def test_the_service_worker_comes_from_the_root_and_is_asked_for_anew_each_time(client, db):
    answer = client.get("/sw.js")
    assert answer["Content-Type"] == "text/javascript"
    assert answer["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in answer.headers
    assert not answer.cookies


def test_it_knows_every_file_that_the_work_pages_load(client, people, make_prompt):
    facts, script = told(client)
    tasks.make_ranking_tasks(
        project=people.project, prompts=[make_prompt(k=2)], num_responses=2, num_wanted=1, user=people.manager
    )
    client.force_login(people.labeler)
    page = client.get(f"/p/tea/work/task/{Task.objects.get().uid}/").content.decode()
    asked = set(re.findall(r'(?:src|href|data-sortable)="(/static/[^"]+)"', page))
    assert len(asked) > 5
    assert asked <= set(facts["files"])
    imported = {f"/static/js/work/{path}" for path in re.findall(r'from "\./([\w.]+)"', _source("js/work/rank.js"))}
    assert imported <= set(facts["files"])
    assert finders.find(script.removeprefix("/static/"))
    assert all(finders.find(name.removeprefix(facts["prefix"])) for name in facts["files"])


def _source(name):
    path = finders.find(name)
    assert path
    with open(path) as file:
        return file.read()


def test_the_page_without_a_network_holds_nothing_about_anybody(client, people):
    client.force_login(people.labeler)
    page = client.get("/offline/").content.decode()
    assert people.labeler.name not in page
    assert str(people.labeler.uid) not in page
    assert "csrf" not in page.lower()


@pytest.mark.parametrize("path", ["/me/", "/p/tea/work/", "/p/none/people/"])
def test_each_page_says_for_whom_it_was_made(client, people, path):
    client.force_login(people.labeler)
    assert client.get(path)["Podium-Person"] == str(people.labeler.uid)


def test_a_page_for_nobody_says_so_and_files_and_data_say_nothing(client, people):
    assert client.get("/accounts/login/")["Podium-Person"] == "nobody"
    assert "Podium-Person" not in client.get("/sw.js").headers
    client.force_login(people.labeler)
    assert client.post("/accounts/logout/", follow=True)["Podium-Person"] == "nobody"


def test_an_answer_is_not_taken_in_the_name_of_who_logged_in_since(client, people, make_prompt):
    tasks.make_ranking_tasks(
        project=people.project, prompts=[make_prompt(k=2)], num_responses=2, num_wanted=1, user=people.manager
    )
    client.force_login(people.labeler2)
    url = reverse("api_submit", args=["tea", Task.objects.get().uid])
    sent = {"data": json.dumps({"idempotency_key": "k", "ranks": {"A": 1, "B": 2}}), "content_type": "application/json"}
    refused = client.post(url, **sent, headers={"Podium-Person": str(people.labeler.uid)})
    assert (refused.status_code, refused.json()["is_other_person"]) == (403, True)
    assert not Ranking.objects.exists()
    assert client.post(url, **sent, headers={"Podium-Person": str(people.labeler2.uid)}).status_code == 201
