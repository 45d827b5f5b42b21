"""The registry: what its list finds, a model's drawing, card, archive and history, and the ways between all of them."""

import io
import zipfile
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import (
    Demonstration,
    Guideline,
    Model,
    Ranking,
    Run,
    SnapshotDemonstration,
    SnapshotRanking,
    Task,
    User,
)
from labeling.services import artifacts, lineage, model_card, registry
from labeling.services.lineage.graph import MOST_LABELERS
from tests.labeling.conftest import People
from training.contract import configs

pytestmark = pytest.mark.django_db
#: What the snapshot page and the card read of a snapshot's own counts.
STATS = {
    "num_prompts": 3, "num_pairs": 9, "num_tied_pairs": 0, "num_labelers": 2, "num_held_out": 0, "splits": [],
    "use_cases": {}, "languages": {"en": 3}, "lengths": {}, "num_responses": {},
}  # fmt: skip


@pytest.fixture
def manager(client: Client, people: People) -> Client:
    client.force_login(people.manager)
    return client


def address(name: str, *arguments: Any) -> str:
    return reverse(name, args=["tea", *arguments])


@pytest.fixture
def judge(people: People, make_run: Any, make_model: Any, make_snapshot: Any, make_judged: Any) -> Model:
    """A reward model of a run on a snapshot of three rankings under version 1 of the guidelines."""
    guideline = Guideline.objects.get(project=people.project)
    make_judged(2, guideline=guideline)
    make_judged(1, labeler=people.labeler2, guideline=guideline)
    snapshot = make_snapshot(name="frozen rankings", stats=STATS)
    for ranking in Ranking.objects.all():
        SnapshotRanking.objects.create(snapshot=snapshot, ranking=ranking)
    config = configs.preset("reward", "tiny-cpu") | {"num_epochs": 9}
    run = make_run(name="reward run", snapshot=snapshot, config=config)
    parent = run.inputs.get(name="init_model").model
    accuracy = {"value": 0.7, "low": 0.6, "high": 0.8, "num_pairs": 9, "num_prompts": 3}
    metrics = {"accuracy": {"valid": accuracy}, "human_agreement": accuracy | {"value": 0.75}, "num_parameters": 5}
    made: Model = make_model("judge", kind="reward", run=run, parent=parent, metrics=metrics, num_parameters=5)
    return made


def names(page: Any) -> set[str]:
    return {model.name for model in page.context["page"]}


# The list


def test_the_list_is_filtered_by_kind_state_origin_and_search(
    manager: Client, people: People, make_model: Any, make_run: Any
) -> None:
    make_model("base", is_current=True)
    make_model("old", is_retired=True, note="too slow")
    make_model("judge", kind="reward", run=make_run())
    make_model("brought", run=make_run(stage="fetch", config={"repo": "a/b"}, inputs={}))
    Model.objects.create(project=people.project, name="other-lab", kind="external")
    for asked, wanted in [
        ({}, {"base", "old", "judge", "brought", "other-lab"}),
        ({"kind": "reward"}, {"judge"}),
        ({"state": "current"}, {"base"}),
        ({"state": "retired"}, {"old"}),
        ({"state": "offered"}, {"base", "judge", "brought"}),
        ({"origin": "trained"}, {"judge"}),
        ({"origin": "imported"}, {"brought"}),
        ({"origin": "named"}, {"other-lab"}),
        ({"q": "SLOW"}, {"old"}),
        ({"q": "b", "kind": "policy", "state": "offered"}, {"base", "brought"}),
        ({"state": "nonsense"}, {"base", "old", "judge", "brought", "other-lab"}),
    ]:
        assert names(manager.get(address("models"), asked)) == wanted, asked
    assert "No model is like that" in manager.get(address("models"), {"q": "nothing"}).content.decode()


# The drawing


def test_the_graph_goes_from_the_model_to_people_and_guidelines(people: People, judge: Model) -> None:
    graph = lineage.graph_of(lineage.of(judge), with_names=True)
    assert {(graph.nodes[made].label, graph.nodes[used].label) for made, used in graph.edges} == {
        ("judge", "reward run"),
        ("reward run", "base"),
        ("reward run", "frozen rankings"),
        ("frozen rankings", "3 rankings"),
        ("3 rankings", "Lena"),
        ("3 rankings", "Luis"),
        ("3 rankings", "Guidelines, version 1"),
    }
    assert {node.note for node in graph.nodes.values() if node.kind == "labeler"} == {"2 judgements", "1 judgement"}


def test_the_whole_way_back_of_a_reward_model_fits_the_page(judge: Model) -> None:
    assert lineage.draw(lineage.graph_of(lineage.of(judge), with_names=True)).width <= 1104


def test_a_judgement_that_two_rounds_froze_counts_once(
    judge: Model, make_run: Any, make_model: Any, make_snapshot: Any
) -> None:
    again = make_snapshot(name="frozen again", stats=STATS)
    for ranking in Ranking.objects.all():
        SnapshotRanking.objects.create(snapshot=again, ranking=ranking)
    run = make_run(name="second round", snapshot=again, config=configs.preset("reward", "tiny-cpu"))
    run.inputs.filter(name="init_model").update(model=judge)
    second = make_model("second judge", kind="reward", run=run, parent=judge)
    ancestors = lineage.of(second)
    assert [frozen.num_judgements for ancestor in ancestors for frozen in ancestor.data] == [3, 3]
    notes = [
        node.note for node in lineage.graph_of(ancestors, with_names=True).nodes.values() if node.kind == "labeler"
    ]
    assert sorted(notes) == ["1 judgement", "2 judgements"]
    assert "It stands on 3 judgements, which is few" in model_card.limits(second, ancestors)[0]


def test_every_box_is_a_link_for_a_manager(manager: Client, people: People, judge: Model) -> None:
    page = manager.get(address("model", judge.uid)).content.decode()
    drawing = page[page.index('<svg class="graph"') : page.index("As a list")]
    snapshot = judge.run.inputs.get(name="dataset").snapshot  # type: ignore[union-attr]
    for there in (
        address("model", judge.uid),
        address("model", judge.parent.uid),  # type: ignore[union-attr]
        address("run", judge.run.uid),  # type: ignore[union-attr]
        address("snapshot", snapshot.uid),
        f"{address('rankings')}?snapshot={snapshot.uid}&amp;state=all",
        address("person", people.labeler.uid),
        address("person", people.labeler2.uid),
        address("guideline", 1),
    ):
        assert f'href="{there}"' in drawing, there
        assert manager.get(there.replace("&amp;", "&")).status_code == 200


def test_a_reviewer_sees_how_many_judged_and_not_who(client: Client, people: People, judge: Model) -> None:
    client.force_login(people.reviewer)
    page = client.get(address("model", judge.uid)).content.decode()
    assert "2 labelers" in page
    assert "Lena" not in page
    main = page.split("<main")[1]
    assert "/p/tea/data/" not in main
    assert "/p/tea/people/" not in main
    assert address("guideline", 1) in main
    card = client.get(address("model_card", judge.uid)).content.decode()
    assert "Lena" not in card


def test_many_labelers_share_a_box(people: People, judge: Model, make_judged: Any) -> None:
    """The one who judged most comes first: person n gave n + 1 rankings."""
    snapshot = lineage.of(judge)[0].data[0].snapshot
    SnapshotRanking.objects.filter(snapshot=snapshot).delete()
    for number in range(MOST_LABELERS + 3):
        make_judged(1)
        user = User.objects.create_user(f"p{number}@example.org", None, name=f"P{number}")
        for task in Task.objects.order_by("pk")[: number + 1]:
            given = {"idempotency_key": f"{user.pk}-{task.pk}", "displayed": [2, 0, 1], "ranks": [1, 2, 3]}
            ranking = Ranking.objects.create(task=task, labeler=user, **given)
            SnapshotRanking.objects.create(snapshot=snapshot, ranking=ranking)
    ancestors = lineage.of(judge)
    nodes = lineage.graph_of(ancestors, with_names=True).nodes.values()
    labels = {node.label for node in nodes if node.kind == "labeler"}
    assert labels == {"3 more labelers", *(f"P{number}" for number in range(3, MOST_LABELERS + 3))}


def test_no_two_boxes_overlap_and_edges_lead_from_right_to_left(judge: Model) -> None:
    drawing = lineage.draw(lineage.graph_of(lineage.of(judge), with_names=True))
    places = {(box.x, box.y) for box in drawing.boxes}
    assert len(places) == len(drawing.boxes)
    by_column: dict[int, list[int]] = {}
    for box in drawing.boxes:
        by_column.setdefault(box.x, []).append(box.y)
        assert box.x + drawing.box_width <= drawing.width
        assert 0 <= box.y <= drawing.height - drawing.box_height
    for rows in by_column.values():
        rows.sort()
        assert all(below - above >= drawing.box_height for above, below in pairwise(rows))
    assert next(box.x for box in drawing.boxes if box.node.kind == "model") == min(by_column)
    assert {box.x for box in drawing.boxes if box.node.kind in ("labeler", "guideline")} == {max(by_column)}
    for path in drawing.paths:
        start, end = path[1:].split(" C")[0].split(), path.split()[-2:]
        assert int(start[0]) > int(end[0])


def test_a_model_without_a_past_is_a_box_alone(manager: Client, make_model: Any) -> None:
    page = manager.get(address("model", make_model("lonely").uid))
    assert len(page.context["drawing"].boxes) == 1
    assert page.context["drawing"].paths == []


# Forward


def test_a_snapshot_leads_to_runs_and_to_models_of_models(
    manager: Client, judge: Model, make_model: Any, make_run: Any
) -> None:
    child = make_model("grandchild", parent=judge, kind="reward")
    snapshot = judge.run.inputs.get(name="dataset").snapshot  # type: ignore[union-attr]
    page = manager.get(address("snapshot", snapshot.uid))
    assert [run.name for run in page.context["made"].runs] == ["reward run"]
    assert page.context["made"].models == [child, judge]
    assert address("model", child.uid) in page.content.decode()


def test_a_ranking_leads_to_snapshots_runs_and_models(manager: Client, judge: Model) -> None:
    ranking = Ranking.objects.first()
    page = manager.get(address("ranking", ranking.uid)).content.decode()  # type: ignore[union-attr]
    snapshot = judge.run.inputs.get(name="dataset").snapshot  # type: ignore[union-attr]
    for there in (address("snapshot", snapshot.uid), address("run", judge.run.uid), address("model", judge.uid)):  # type: ignore[union-attr]
        assert there in page


def test_a_ranking_that_no_snapshot_holds_leads_nowhere(manager: Client, make_judged: Any) -> None:
    make_judged(1)
    page = manager.get(address("ranking", Ranking.objects.get().uid))
    assert "What learned from it" not in page.content.decode()


def test_a_guideline_version_leads_managers_alone_to_what_followed_it(
    client: Client, people: People, judge: Model
) -> None:
    Guideline.objects.create(project=people.project, version=2, text="Be brief.")
    client.force_login(people.manager)
    page = client.get(address("guideline", 1)).content.decode()
    assert address("model", judge.uid) in page
    assert "judgements that followed" not in client.get(address("guideline", 2)).content.decode()
    client.force_login(people.labeler)
    page = client.get(address("guideline", 1)).content.decode()
    assert "Be kind." in page
    assert address("model", judge.uid) not in page


def test_a_labeler_leads_to_what_learned_from_them(manager: Client, people: People, judge: Model) -> None:
    assert address("model", judge.uid) in manager.get(address("person", people.labeler2.uid)).content.decode()
    assert "What learned from" not in manager.get(address("person", people.reviewer.uid)).content.decode()


def test_demonstrations_lead_forward_from_their_guidelines_too(
    people: People, make_snapshot: Any, make_prompt: Any
) -> None:
    guideline = Guideline.objects.get(project=people.project)
    written = Demonstration.objects.create(
        prompt=make_prompt(k=0), labeler=people.labeler, idempotency_key="w", text="So.", guideline=guideline
    )
    snapshot = make_snapshot("sft")
    SnapshotDemonstration.objects.create(snapshot=snapshot, demonstration=written)
    assert lineage.from_guideline(guideline).snapshots == [snapshot]


def test_rankings_are_filtered_by_snapshot_and_guidelines(
    manager: Client, people: People, judge: Model, make_prompt: Any
) -> None:
    Guideline.objects.create(project=people.project, version=2, text="Be brief.")
    snapshot = judge.run.inputs.get(name="dataset").snapshot  # type: ignore[union-attr]
    SnapshotRanking.objects.filter(ranking=Ranking.objects.first()).delete()
    for asked, num in [({"snapshot": snapshot.uid}, 2), ({"guideline": 1}, 3), ({"guideline": 2}, 0), ({}, 3)]:
        page = manager.get(address("rankings"), asked)
        assert len(page.context["page"].rows) == num, asked


# The card, the archive, the history


def test_the_card_says_what_was_learned_from_how_well_and_what_is_against_it(judge: Model) -> None:
    card = model_card.write(judge)
    assert "| judge | frozen rankings" in card
    assert "| 3 | 3 | 3 | 2 | 1 |" in card  # rows, prompts, judgements, labelers, guideline version
    assert "| accuracy, valid | 0.7 | 0.6 to 0.8 |" in card
    assert "| **num\\_epochs** | **9** |" in card
    assert "what differs from it is bold" in card
    assert "learning\\_rate" in card
    assert "2 people judged" in card
    assert "3 judgements, which is few" in card
    assert "Languages of its judged data: en" in card
    assert "not measured on labelers who did not train it" in card
    assert "Two people agree on 75 % of the pairs" in card
    assert "by run reward run, of base, frozen rankings" in card


def test_a_preset_that_was_left_as_it_is_is_not_listed_twice(judge: Model) -> None:
    assert judge.run is not None
    Run.objects.filter(pk=judge.run.pk).update(config=configs.preset("reward", judge.run.preset))
    judge.run.refresh_from_db()
    card = model_card.write(judge)
    assert f"Preset {judge.run.preset}, unchanged." in card
    assert "In the preset" not in card


def test_an_evaluation_stands_on_the_card_of_the_policy_it_measured(
    make_model: Any, make_run: Any, make_snapshot: Any
) -> None:
    policy, other = make_model("base"), make_model("before")
    assert "No evaluation of it has been run" in model_card.write(policy)
    inputs = {"model": policy, "reference_model": other, "prompts": make_snapshot("prompts")}
    run = make_run(stage="evaluate", config=configs.preset("evaluate", "tiny-cpu"), inputs=inputs, name="measured")
    report = {
        "policy": {
            "policy": {
                "kl": {"value": 3.25, "low": 3, "high": 3.5},
                "reward_by_category": {"x": {"value": 1, "low": 0, "high": 2}},
            },
            "reference": {"reward": {"value": 9, "low": 8, "high": 10}},
        }
    }
    ended = {"state": "succeeded", "finished_at": "2026-01-01T00:00Z", "result": {"report": report}}
    Run.objects.filter(pk=run.pk).update(**ended)
    card = model_card.write(policy)
    assert "By the evaluation measured" in card
    assert "| policy, policy, kl | 3.25 | 3 to 3.5 |" in card
    assert "reference" not in card
    assert "by category" not in card
    assert "No evaluation" not in card
    assert "No evaluation of it has been run" in model_card.write(other)
    assert "3.25" not in model_card.write(other)


def test_names_that_people_gave_are_no_markup_on_the_card(manager: Client, judge: Model) -> None:
    Model.objects.filter(pk=judge.pk).update(name="a | b <script>alert(1)</script> [x](http://evil.example)")
    judge.refresh_from_db()
    page = manager.get(address("model_card", judge.uid)).content.decode()
    assert "<script>alert(1)" not in page
    assert 'href="http://evil.example"' not in page
    rows = [line for line in model_card.write(judge).splitlines() if line.startswith("| a ")]
    assert len(rows) == 1
    assert "a \\| b" in rows[0]


def test_the_card_is_downloaded_as_markdown(manager: Client, judge: Model) -> None:
    answer = manager.get(address("model_card_file", judge.uid))
    assert answer.content.decode() == model_card.write(judge)
    assert 'filename="judge.md"' in answer["Content-Disposition"]


def test_the_archive_holds_the_files_and_the_card_and_nothing_else(
    manager: Client, judge: Model, tmp_path: Any
) -> None:
    (tmp_path / "optimizer.pt").write_bytes(b"x")
    artifacts.put_file(source=tmp_path / "optimizer.pt", name=f"{judge.storage_key}/optimizer.pt")
    answer = manager.get(address("model_archive", judge.uid))
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["README.md", "config.json", "model.safetensors"]
        assert archive.read("model.safetensors") == b"weights of judge"
        assert archive.read("README.md").decode() == model_card.write(judge)


def test_only_managers_download_and_a_name_alone_has_no_archive(client: Client, people: People, judge: Model) -> None:
    client.force_login(people.reviewer)
    assert client.get(address("model_archive", judge.uid)).status_code == 403
    client.force_login(people.manager)
    external = Model.objects.create(project=people.project, name="lab", kind="external")
    assert client.get(address("model_archive", external.uid)).status_code == 404
    assert client.get(address("model_card", external.uid)).status_code == 200


def test_what_is_done_with_a_model_is_kept_with_who_did_it(manager: Client, make_model: Any) -> None:
    model, other = make_model("new"), make_model("newer")
    for name in ("model_promote", "model_promote", "model_retire"):
        manager.post(address(name, model.uid))
    manager.post(address("model_promote", other.uid))
    for name in ("model_retire", "model_retire", "model_restore", "model_restore"):
        manager.post(address(name, model.uid))
    assert list(model.events.values_list("action", "actor")) == [
        ("promoted", "Mira"),
        ("retired", "Mira"),
        ("restored", "Mira"),
    ]
    assert "retired</strong>" in manager.get(address("model", model.uid)).content.decode()


def test_a_note_on_a_model_is_on_its_card(manager: Client, make_model: Any) -> None:
    model = make_model("new")
    manager.post(address("model_note", model.uid), {"note": "Good at tea."})
    model.refresh_from_db()
    assert model.note == "Good at tea."
    assert "Good at tea." in model_card.write(model)
    manager.post(address("model_note", model.uid), {"note": "x" * 10_001})
    model.refresh_from_db()
    assert model.note == "Good at tea."


def test_retiring_the_current_policy_is_refused_and_leaves_no_trace(make_model: Any) -> None:
    model = make_model("new", is_current=True)
    with pytest.raises(registry.RegistryError, match="promote another one first"):
        registry.retire(model)
    assert not model.events.exists()
