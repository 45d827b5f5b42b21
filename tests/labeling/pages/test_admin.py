"""The admin: only for superusers; what people judged cannot be changed there."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from labeling.models import Ranking, Slot, Task, User
from labeling.services import tasks

from ..conftest import People


@pytest.fixture
def superuser(client: Client, people: People) -> Client:
    client.force_login(User.objects.create_superuser("root@example.org", "a long password"))
    return client


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str), ids=str)
def test_every_list_opens_for_a_superuser_and_for_nobody_else(superuser: Client, people: People, model: Any) -> None:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    assert superuser.get(url).status_code == 200
    superuser.force_login(people.manager)
    assert superuser.get(url).status_code == 302


@pytest.mark.parametrize("name", ["ranking", "demonstration", "rankingvoid", "slot", "guideline"])
def test_judgements_cannot_be_added_or_deleted(superuser: Client, name: str) -> None:
    assert superuser.get(reverse(f"admin:labeling_{name}_add")).status_code == 403


def test_a_ranking_can_be_read_and_not_changed(superuser: Client, people: People, make_prompt: Any) -> None:
    tasks.make_ranking_tasks(
        project=people.project, prompts=[make_prompt("sky", k=2)], num_responses=2, num_wanted=1, user=people.manager
    )
    slot = Slot.objects.get()
    Slot.objects.update(state="done", holder=people.labeler, done_at="2026-01-01T00:00Z")
    ranking = Ranking.objects.create(
        task=Task.objects.get(), slot=slot, labeler=people.labeler, idempotency_key="k", displayed=[0, 1], ranks=[1, 2]
    )
    url = reverse("admin:labeling_ranking_change", args=[ranking.pk])
    assert superuser.get(url).status_code == 200
    assert superuser.post(url, {"ranks": "2,1"}).status_code == 403
    assert superuser.post(reverse("admin:labeling_ranking_delete", args=[ranking.pk])).status_code == 403
    ranking.refresh_from_db()
    assert ranking.ranks == [1, 2]
