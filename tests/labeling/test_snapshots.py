"""Snapshots: what goes in, what stays out and why, and a hash that depends on the rows alone."""

import json
import re
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.models import Demonstration, Prompt, Ranking, RankingVoid, Slot, Snapshot, Task, TaskResponse, User
from labeling.services import snapshots
from training.contract.records import content_sha256, read_snapshot_manifest


def rank(
    world: Any, prompt: Prompt, labeler: User, ranks: list[int], *, task: Task | None = None, **fields: Any
) -> Ranking:
    """A counted ranking of all responses of a prompt, with its task and slot."""
    if task is None:
        task = Task.objects.create(
            project=world.project, kind="rank", prompt=prompt, num_responses=len(ranks), num_wanted=3
        )
        for position, response in enumerate(prompt.responses.order_by("sample_index")):
            TaskResponse.objects.create(task=task, response=response, position=position)
    if "slot" not in fields:
        fields["slot"] = Slot.objects.create(
            task=task, project=world.project, kind="rank", number=task.slots.count(), state="done", holder=labeler,
            done_at=timezone.now(),
        )  # fmt: skip
    fields.setdefault("displayed", list(range(task.num_responses)))
    return Ranking.objects.create(
        task=task, labeler=labeler, ranks=ranks, idempotency_key=f"k{Ranking.objects.count()}", **fields
    )


def frozen(world: Any, kind: str = "reward", name: str = "s", **filters: Any) -> Snapshot:
    snapshot = snapshots.create(project=world.project, kind=kind, name=name, filters=filters)
    built = snapshots.build(snapshot.pk)
    assert built is not None
    return built


def rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    return pq.read_table(snapshots.folder(snapshot) / "data.parquet").to_pylist()


def test_two_labelers_of_one_task_are_two_rows_of_half_weight(people: Any, make_prompt: Any) -> None:
    first = rank(people, make_prompt(k=3), people.labeler, [1, 2, 2])
    rank(people, first.task.prompt, people.labeler2, [3, 1, 2], task=first.task)
    snapshot = frozen(people)
    assert snapshot.state == "ready"
    assert sorted((row["ranks"], row["weight"]) for row in rows(snapshot)) == [([1, 2, 2], 0.5), ([3, 1, 2], 0.5)]
    assert snapshot.stats["num_pairs"] == 5
    assert snapshot.stats["num_tied_pairs"] == 1


def test_a_held_out_labeler_is_marked_and_does_not_share_the_weight(people: Any, make_prompt: Any) -> None:
    User.objects.filter(pk=people.labeler2.pk).update(is_held_out=True)
    first = rank(people, make_prompt(k=3), people.labeler, [1, 2, 3])
    rank(people, first.task.prompt, people.labeler2, [3, 1, 2], task=first.task)
    assert sorted((row["held_out"], row["weight"]) for row in rows(frozen(people))) == [(False, 1.0), (True, 1.0)]


def test_what_is_left_out_is_counted_by_reason(people: Any, make_prompt: Any) -> None:
    kept = rank(people, make_prompt("A", k=3), people.labeler, [1, 2, 3])
    rank(people, make_prompt("B", k=3), people.labeler, [1, 1, 1])
    rank(
        people,
        make_prompt("C", k=3),
        people.labeler,
        [],
        outcome="none_acceptable",
        displayed=[0, 1, 2],
        task=_task(people, "C"),
    )
    rank(people, kept.task.prompt, people.labeler2, [1, 2, 3], task=kept.task, slot=None)
    void = rank(people, make_prompt("D", k=3), people.labeler, [1, 2, 3])
    RankingVoid.objects.create(ranking=void, reason="wrong", voided_by=people.manager)
    snapshot = frozen(people)
    assert [row["ranks"] for row in rows(snapshot)] == [[1, 2, 3]]
    assert snapshot.stats["left_out"] == {
        "all tied: no pair to learn from": 1,
        "none acceptable: no order was given": 1,
        "surplus: more judgements than the task wanted": 1,
    }
    assert list(snapshot.snapshot_rankings.values_list("ranking", flat=True)) == [kept.pk]


def _task(world: Any, text: str) -> Task:
    prompt = Prompt.objects.get(text=text)
    task = Task.objects.create(project=world.project, kind="rank", prompt=prompt, num_responses=3)
    for position, response in enumerate(prompt.responses.order_by("sample_index")):
        TaskResponse.objects.create(task=task, response=response, position=position)
    return task


def test_only_the_newest_revision_goes_in(people: Any, make_prompt: Any) -> None:
    first = rank(people, make_prompt(k=3), people.labeler, [1, 2, 3])
    rank(
        people,
        first.task.prompt,
        people.labeler,
        [3, 2, 1],
        task=first.task,
        slot=first.slot,
        revision=2,
        replaces=first,
    )
    assert [row["ranks"] for row in rows(frozen(people))] == [[3, 2, 1]]


def test_the_same_rows_give_the_same_hash_whatever_their_ids_and_people(people: Any, make_prompt: Any) -> None:
    def judge(labelers: list[User], order: list[str]) -> str:
        for text in order:
            prompt = Prompt.objects.filter(text=text).first() or make_prompt(text, k=3)
            first = rank(people, prompt, labelers[0], [1, 2, 3])
            rank(people, prompt, labelers[1], [2, 1, 3], task=first.task)
        snapshot = frozen(people)
        digest = snapshot.sha256
        assert digest == content_sha256(rows(snapshot)) == read_snapshot_manifest(snapshots.folder(snapshot)).sha256
        Snapshot.objects.all().delete()
        for model in (Ranking, Slot, TaskResponse, Task):
            model.objects.all().delete()  # type: ignore[attr-defined]
        return str(digest)

    assert judge([people.labeler, people.labeler2], ["A", "B"]) == judge([people.labeler2, people.labeler], ["B", "A"])


def test_a_changed_rank_changes_the_hash(people: Any, make_prompt: Any) -> None:
    rank(people, make_prompt("A", k=3), people.labeler, [1, 2, 3])
    before = frozen(people)
    rank(people, make_prompt("B", k=3), people.labeler, [1, 2, 3])
    assert frozen(people, name="after").sha256 != before.sha256


def test_freezing_the_same_rows_again_points_at_the_first(people: Any, make_prompt: Any) -> None:
    rank(people, make_prompt(k=3), people.labeler, [1, 2, 3])
    first, second = frozen(people), frozen(people)
    assert (second.state, second.same_as, second.resolved) == ("same", first, first)
    assert second.name == "s 2"


def test_no_row_left_fails_with_what_to_do(people: Any) -> None:
    snapshot = frozen(people, languages=["xx"])
    assert snapshot.state == "failed"
    assert "Widen" in snapshot.error


def test_filters_choose_by_use_case_dataset_and_day(people: Any, make_prompt: Any) -> None:
    rank(people, make_prompt("A", k=3, use_case="chat", dataset="one"), people.labeler, [1, 2, 3])
    rank(people, make_prompt("B", k=3, use_case="extract", dataset="two"), people.labeler, [2, 1, 3])
    assert [row["category"] for row in rows(frozen(people, use_cases=["chat"]))] == ["chat"]
    assert [row["source"] for row in rows(frozen(people, name="d", datasets=["two"]))] == ["two"]
    tomorrow = (timezone.now() + timedelta(days=1)).date().isoformat()
    assert frozen(people, name="e", since=tomorrow).state == "failed"


def test_demonstrations_prompts_and_text_freeze_too(people: Any, make_prompt: Any) -> None:
    prompt = make_prompt("A")
    Demonstration.objects.create(prompt=prompt, labeler=people.labeler, text="Because.", idempotency_key="d")
    make_prompt("B", is_retired=True)
    assert [row["response"] for row in rows(frozen(people, kind="sft"))] == ["Because."]
    assert [row["prompt_id"] for row in rows(frozen(people, kind="prompts", name="p"))] == [prompt.content_hash]
    text = frozen(people, kind="text", name="t")
    assert {row["split"] for row in rows(text)} == {"train", "valid"}


def test_a_building_snapshot_without_a_builder_is_rung_again_and_a_held_one_is_not(people: Any) -> None:
    lost = snapshots.create(project=people.project, kind="prompts", name="lost")
    Snapshot.objects.filter(pk=lost.pk).update(state="building")
    assert snapshots.sweep() == 1


def test_an_unknown_filter_is_refused_by_name(people: Any) -> None:
    with pytest.raises(snapshots.SnapshotError, match="colour"):
        snapshots.create(project=people.project, kind="reward", name="x", filters={"colour": ["red"]})
    assert not Snapshot.objects.exists()


def test_the_page_makes_shows_and_hands_out_a_snapshot(people: Any, make_prompt: Any, client: Client) -> None:
    rank(people, make_prompt("A", k=3, language="en"), people.labeler, [1, 2, 2])
    client.force_login(people.manager)
    made = client.post(reverse("snapshot_new", args=["tea"]), {"kind": "reward", "name": "First", "languages": ["en"]})
    snapshot = Snapshot.objects.get()
    assert made.headers["Location"] == reverse("snapshot", args=["tea", snapshot.uid])
    assert "Queued" in client.get(made.headers["Location"]).content.decode()
    snapshots.build(snapshot.pk)
    page = client.get(made.headers["Location"]).content.decode()
    assert "Pairs to learn from" in page
    assert Snapshot.objects.get().filters == {"languages": ["en"]}
    manifest = client.get(reverse("snapshot_manifest", args=["tea", snapshot.uid]))
    assert json.loads(b"".join(manifest.streaming_content))["num_rows"] == 1  # type: ignore[attr-defined]
    assert "attachment" in manifest.headers["Content-Disposition"]
    assert "First" in client.get(reverse("snapshots", args=["tea"])).content.decode()


def test_days_are_kept_for_what_was_judged_alone(people: Any, client: Client) -> None:
    client.force_login(people.manager)
    for kind in ("sft", "prompts"):
        sent = {"kind": kind, "name": kind, "since": "2026-01-02"}
        client.post(reverse("snapshot_new", args=["tea"]), sent)
    kept = dict(Snapshot.objects.values_list("kind", "filters"))
    assert kept == {"sft": {"since": "2026-01-02"}, "prompts": {}}


def test_the_page_has_the_words_that_people_know_and_the_most_first(
    people: Any, make_prompt: Any, client: Client
) -> None:
    for number, use_case in enumerate(["chat", "open_qa", "open_qa"]):
        make_prompt(f"Question {number}", k=0, use_case=use_case, split="valid")
    snapshot = frozen(people, kind="prompts")
    client.force_login(people.manager)
    page = client.get(reverse("snapshot", args=["tea", snapshot.uid])).content.decode()
    words = re.sub(r"<[^>]*>", " ", page)
    assert re.search(r"Open QA\s+2\s+66\.7\s+Chat\s+1\s+33\.3", words)
    assert "Prompts: Open QA" in words
    assert "Validation" in words
    assert "open_qa" not in words


def test_a_text_that_is_not_utf8_is_refused_with_the_place(people: Any, client: Client) -> None:
    client.force_login(people.manager)
    file = SimpleUploadedFile("text.txt", b"good\xff")
    answer = client.post(reverse("snapshot_new", args=["tea"]), {"kind": "text", "name": "T", "text_file": file})
    assert answer.status_code == 422
    assert "byte 4" in answer.content.decode()
    assert not Snapshot.objects.exists()


def test_labelers_and_strangers_see_no_data(people: Any, client: Client) -> None:
    client.force_login(people.labeler)
    assert client.get(reverse("snapshots", args=["tea"])).status_code == 403
    client.force_login(people.stranger)
    assert client.get(reverse("snapshots", args=["tea"])).status_code == 404
