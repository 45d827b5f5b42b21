"""Panels 5 to 7: what evaluations found of answers, and what labelers flagged."""

from typing import Any

import pytest

from labeling.models import Model, Response
from labeling.services import kept, panels
from labeling.services.agreement import Figure
from labeling.services.panels import Chart, Panel, answers, words
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
    values |= {"same_answer": interval(0.25), "reward_gap": interval(1.5)}
    file = world.file(people.project, "paraphrases", "pairs.csv")
    evaluate({"paraphrases": {"num_pairs": 20, "policy": values}}, model=policy("sft-1"), paraphrases=file)
    found = panel(people, "instructions")
    assert lines(found, "Words shared by both answers") == [("sft-1 (SFT)", 0.6)]
    assert found.charts[0].mark == 0.12
    assert found.charts[0].hint == "20 pairs of pairs.csv"
    assert [(chart.title, chart.lines[0].figure.value) for chart in found.charts] == [
        ("Words shared by both answers", 0.6),
        ("The very same answer", 0.25),
        ("What a paraphrase costs", 0.3),
        ("Distance of the two rewards", 1.5),
    ]


@pytest.mark.parametrize("key", ["temperature", "max_new_tokens", "max_prompt_tokens"])
@pytest.mark.parametrize("part", ["harmful", "policy"])
def test_answers_that_were_sampled_otherwise_are_not_put_beside(
    people: People, policy: Any, evaluate: Any, part: str, key: str
) -> None:
    way = {"temperature": 1.0, "max_new_tokens": 64, "max_prompt_tokens": 64}
    data = {
        "harmful": {"harmful_prompts": world.file(people.project, "harmful_prompts", "harm.csv")},
        "policy": {"prompts": world.text(people.project, "asked", kind="prompts")},
    }[part]
    values = {"complied": interval(0.4), "response_tokens": interval(30.0)}
    evaluate({part: {"policy": values}}, way | {key: 9}, model=policy("sft-1"), **data)
    evaluate({part: {"policy": values}}, way, model=policy("sft-2"), **data)
    chart = panel(people, {"harmful": "harm", "policy": "length"}[part]).charts[0]
    assert [line.label for line in chart.lines] == ["sft-2 (SFT)"]


@pytest.mark.parametrize("coefficients", [(27.8, 0.0), (0.0, 27.8)])
def test_the_newest_trained_policy_is_the_one_that_is_spoken_of(
    people: People, policy: Any, evaluate: Any, coefficients: tuple[float, float]
) -> None:
    file = world.file(people.project, "truthfulqa", "t.csv")
    for name, coefficient in zip(("older", "newer"), coefficients, strict=True):
        model = policy(name, "ppo", ptx_coef=coefficient)
        evaluate({"truthfulqa": {"policy": {"mc2": interval(0.5)}}}, model=model, truthfulqa=file)
    (said,) = panel(people, "truth").says
    assert said.startswith("newer (")


def test_a_policy_that_stands_alone_is_not_compared_with_itself(people: People, policy: Any, evaluate: Any) -> None:
    file = world.file(people.project, "truthfulqa", "t.csv")
    evaluate({"truthfulqa": {"policy": {"mc2": interval(0.5)}}}, model=policy("sft-1"), truthfulqa=file)
    assert len(panel(people, "truth").says) == 1


def test_intervals_are_apart_whichever_is_higher() -> None:
    low, high = Figure(0.3, 0.25, 0.35), Figure(0.5, 0.45, 0.55)
    assert words.how_sure(low, high) == words.how_sure(high, low) == "Their intervals are apart."
    assert words.how_sure(low, Figure(0.38, 0.33, 0.43)) == "Their intervals overlap: it may be chance."


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


def test_where_there_are_many_models_those_that_were_judged_most_are_shown(
    people: People, make_task: Any, rank: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_MODELS", 1)
    a, b, c = (Model.objects.create(project=people.project, name=n, kind="policy", storage_key=n) for n in "abc")
    for pair in ((b, a), (c, a)):
        task = make_task(k=2)
        for place, model in zip(task.task_responses.order_by("position"), pair, strict=True):
            Response.objects.filter(pk=place.response_id).update(model=model)
        rank(task, people.labeler, [1, 2], flags={"0": ["Hallucination"]})
    assert lines(panel(people, "truth"), "Flagged: Hallucination") == [("a", 0.0)]


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


def test_what_a_reward_model_scores_too_has_the_newest_in_its_form(people: People, policy: Any) -> None:
    policy("sft-1")
    world.reward_model(people.project, "older")
    newest = world.reward_model(people.project, "newest")
    assert panel(people, "instructions").missing[0].query["reward_model"] == str(newest.uid)
    assert "reward_model" not in panel(people, "truth").missing[0].query


def test_a_file_of_another_kind_is_not_offered(people: People, policy: Any) -> None:
    policy("sft-1")
    world.file(people.project, "paraphrases", "pairs.csv")
    assert "truthfulqa" not in panel(people, "truth").missing[0].query


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
