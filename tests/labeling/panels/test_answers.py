"""Panels 5 to 7: what evaluations found of answers, and what labelers flagged."""

from typing import Any

import pytest

from labeling.models import Model, Response
from labeling.services import kept, panels
from labeling.services.panels import Chart, Panel
from tests.labeling.conftest import People
from tests.labeling.panels import world
from tests.labeling.panels.world import interval

pytestmark = pytest.mark.django_db


def panel(people: People, key: str) -> Panel:
    return next(one for one in panels.of_project(people.project).panels if one.key == key)


def lines(panel: Panel, title: str) -> list[tuple[str, float | None]]:
    chart: Chart = next(one for one in panel.charts if one.title == title)
    return [(line.label, line.figure.value) for line in chart.lines]


@pytest.fixture
def measured(people: People, policy: Any, evaluate: Any) -> tuple[Model, Model]:
    """A PPO model and the SFT model that it came from, asked everything once."""
    ppo, sft = policy("ppo-1", "ppo"), policy("sft-1")
    files = {kind: world.file(people.project, kind, f"{kind}.csv") for kind in ("truthfulqa", "harmful_prompts")}
    report = {
        "truthfulqa": {
            "num_questions": 817,
            "policy": {"mc1": interval(0.3), "mc2": interval(0.5)},
            "reference": {"mc1": interval(0.2), "mc2": interval(0.3)},
        },
        "harmful": {
            "num_prompts": 50,
            "policy": {"complied": interval(0.4), "refused": interval(0.5)},
            "reference": {"complied": interval(0.45), "refused": interval(0.2)},
        },
    }
    evaluate(report, model=ppo, reference_model=sft, **files)
    return ppo, sft


def test_truthfulqa_is_shown_for_each_policy_with_its_file(people: People, measured: Any) -> None:
    found = panel(people, "truth")
    assert lines(found, "MC1") == [("sft-1 (SFT)", 0.2), ("ppo-1 (PPO)", 0.3)]
    assert lines(found, "MC2") == [("sft-1 (SFT)", 0.3), ("ppo-1 (PPO)", 0.5)]
    assert "817 questions of truthfulqa.csv" in found.charts[0].hint
    assert found.says == [
        "ppo-1 (PPO) puts 50.0 % (45.0 to 55.0) of its probability on true answers to TruthfulQA (MC2).",
        "sft-1 (SFT): 30.0 % (25.0 to 35.0). Their intervals are apart.",
    ]


def test_compliance_and_refusal_are_shown_for_each_policy(people: People, measured: Any) -> None:
    found = panel(people, "harm")
    assert lines(found, "Complied with harmful prompts") == [("sft-1 (SFT)", 0.45), ("ppo-1 (PPO)", 0.4)]
    assert lines(found, "Refused") == [("sft-1 (SFT)", 0.2), ("ppo-1 (PPO)", 0.5)]
    assert found.says[1] == "sft-1 (SFT): 45.0 % (40.0 to 50.0). Their intervals overlap: it may be chance."


def test_paraphrases_stand_beside_what_chance_shares(people: People, policy: Any, evaluate: Any) -> None:
    values = {"overlap": interval(0.6), "overlap_of_other_prompts": interval(0.12), "cost": interval(0.3, 0.1)}
    file = world.file(people.project, "paraphrases", "pairs.csv")
    evaluate({"paraphrases": {"num_pairs": 20, "policy": values}}, model=policy("sft-1"), paraphrases=file)
    found = panel(people, "instructions")
    assert lines(found, "Words shared by both answers") == [("sft-1 (SFT)", 0.6)]
    assert found.charts[0].mark == 0.12
    assert found.charts[0].hint == "20 pairs of pairs.csv"
    assert [chart.title for chart in found.charts] == ["Words shared by both answers", "What a paraphrase costs"]


def test_labelers_flags_stand_where_they_belong(people: People, make_task: Any, rank: Any) -> None:
    people.project.flags = [*people.project.flags, "Own harm"]
    people.project.save()
    task = make_task(k=2)
    models = [Model.objects.create(project=people.project, name=name, kind="policy", storage_key=name) for name in "ab"]
    for place, model in zip(task.task_responses.order_by("position"), models, strict=True):
        Response.objects.filter(pk=place.response_id).update(model=model)
    flags = {"0": ["Hallucination", "Violent content"], "1": ["Own harm", "Expresses opinion"]}
    rank(task, people.labeler, [1, 2], flags=flags)
    rank(task, people.labeler2, [1, 2])
    truth, harm = panel(people, "truth"), panel(people, "harm")
    assert sorted(lines(truth, "Flagged: Hallucination")) == [("a", 0.5), ("b", 0.0)]
    assert sorted(lines(harm, "Flagged: Violent content")) == [("a", 0.5), ("b", 0.0)]
    assert sorted(lines(harm, "Flagged: Own harm")) == [("a", 0.0), ("b", 0.5)]
    assert [chart.title for chart in harm.charts] == ["Flagged: Violent content", "Flagged: Own harm"]
    assert harm.says == ["Labelers flagged: violent content and Own harm."]


def test_rankings_without_a_flag_of_harm_say_so(people: People, make_task: Any, rank: Any) -> None:
    rank(make_task(k=2), people.labeler, [1, 2], flags={"0": ["Expresses opinion"]})
    assert panel(people, "harm").says == ["In 1 ranking nobody flagged a harm."]


def test_what_is_lacking_names_the_file_and_fills_the_form(people: People, policy: Any) -> None:
    sft, ppo = policy("sft-1"), policy("ppo-1", "ppo")
    one = panel(people, "truth").missing[0]
    assert one.text == "No policy was measured on TruthfulQA. Bring the CSV of its authors on the next page."
    assert one.query == {"model": str(ppo.uid), "reference_model": str(sft.uid)}
    file = world.file(people.project, "truthfulqa", "TruthfulQA.csv")
    one = panel(people, "truth").missing[0]
    assert (one.label, one.query["truthfulqa"]) == ("Evaluate ppo-1 on TruthfulQA", str(file.uid))


def test_the_current_policy_is_measured_first(people: People, policy: Any) -> None:
    current = policy("sft-1")
    policy("ppo-1", "ppo")
    current.is_current = True
    current.save()
    assert panel(people, "harm").missing[0].label == "Evaluate sft-1 on harmful prompts"


def test_nothing_yet_and_counting_say_so(people: People, monkeypatch: Any) -> None:
    found = panel(people, "harm")
    assert found.charts == []
    assert [one.page for one in found.missing] == ["run_new_stage", "tasks"]
    monkeypatch.setattr(kept, "get", lambda *_: None)
    assert panel(people, "truth").missing[-1].text == "Flags are being counted. Look again in a minute."
