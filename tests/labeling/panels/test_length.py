"""Panel 4: people's, the reward model's and the policies' lengths, by hand."""

import math
from typing import Any

import pytest

from labeling.models import Prompt, Response
from labeling.services import kept, panels
from labeling.services.panels import Chart, Panel
from tests.labeling.conftest import People
from tests.labeling.panels import world
from tests.labeling.panels.world import interval, reward_model

pytestmark = pytest.mark.django_db


def panel(people: People) -> Panel:
    return panels.of_project(people.project).panels[3]


def chart(people: People, title: str) -> Chart:
    return next(one for one in panel(people).charts if one.title == title)


def test_how_often_people_prefer_the_longer_is_counted(people: People, make_task: Any, rank: Any) -> None:
    for lengths in ((10, 20), (10, 15)):
        task = make_task(k=2)
        for place, num in zip(task.task_responses.order_by("position"), lengths, strict=True):
            Response.objects.filter(pk=place.response_id).update(num_chars=num)
        rank(task, people.labeler, [2, 1] if lengths[1] == 20 else [1, 2])
    lines = chart(people, "People").lines
    assert {line.source.page for line in lines if line.source} == {"biases"}
    found = {line.label: line.figure.value for line in lines}
    assert found == {"Any longer": 0.5, "Longer by 1.5 to 2 ×": 0.0, "Longer by 2 to 3 ×": 1.0}
    assert panel(people).says[0].startswith("People: No clear effect")


def test_the_newest_reward_models_report_gives_right_by_length_and_correlation(people: People) -> None:
    reward_model(people.project, "rm", valid=interval(0.6))
    by_length = chart(people, "Reward model: right by length")
    assert [(line.label, line.figure.value, line.note) for line in by_length.lines] == [
        ("The better one is shorter", 0.55, "12 pairs"), ("The better one is longer", 0.8, "18 pairs"),
    ]  # fmt: skip
    assert chart(people, "Reward model: score and length").lines[0].figure.value == 0.42
    assert panel(people).says == ["rm likes length: score and length correlate by 0.42 within prompts."]


def test_answers_to_the_same_prompts_give_tokens_by_policy(people: People, policy: Any, evaluate: Any) -> None:
    asked = world.text(people.project, "asked", kind="prompts")
    report = {
        "policy": {
            "policy": {"response_tokens": interval(40.0, 3)},
            "reference": {"response_tokens": interval(30.0, 2)},
        }
    }
    evaluate(report, model=policy("ppo-1", "ppo"), reference_model=policy("sft-1"), prompts=asked)
    found = chart(people, "Policies: tokens")
    assert [(line.label, line.figure.value, line.figure.low) for line in found.lines] == [
        ("sft-1 (SFT)", 30.0, 28.0), ("ppo-1 (PPO)", 40.0, 37.0),
    ]  # fmt: skip
    assert found.hint == "mean length of the answers to asked"


def test_sampled_responses_weigh_every_prompt_the_same(people: People, make_prompt: Any, policy: Any) -> None:
    model = policy("sft-1")
    for number, lengths in enumerate(([10, 30], [40])):
        prompt = make_prompt(f"Question {number}?", k=0)
        for index, num in enumerate(lengths):
            Response.objects.create(prompt=prompt, model=model, sample_index=index, text="x", num_chars=num)
    other = people.stranger.memberships.get().project
    foreign = world.model(other, "sft-9", "sft", {})
    elsewhere = Prompt.objects.create(
        project=other,
        messages=[{"role": "user", "content": "x"}],
        content_hash="a" * 64,
        text="x",
        num_chars=1,
        split="train",
    )
    Response.objects.create(prompt=elsewhere, model=foreign, text="x", num_chars=99)
    (line,) = chart(people, "Sampled responses").lines
    half = 1.96 * math.sqrt(200) / math.sqrt(2)  # means of 20 and 40
    assert (line.label, line.figure.value, line.note) == ("sft-1 (SFT)", 30.0, "3 responses")
    assert (line.figure.low, line.figure.high) == pytest.approx((30 - half, 30 + half))


def test_no_mean_length_may_be_below_nothing(people: People, make_prompt: Any, policy: Any) -> None:
    model = policy("sft-1")
    for number, num in enumerate((1, 99)):
        Response.objects.create(prompt=make_prompt(f"Question {number}?", k=0), model=model, text="x", num_chars=num)
    (line,) = chart(people, "Sampled responses").lines
    assert (line.figure.value, line.figure.low) == (50.0, 0.0)


def test_models_stand_oldest_first_and_one_from_elsewhere_has_no_kind(
    people: People, make_prompt: Any, policy: Any
) -> None:
    prompt = make_prompt(k=1)  # by a model of another lab
    Response.objects.create(prompt=prompt, model=policy("sft-1"), text="x", num_chars=5)
    assert [line.label for line in chart(people, "Sampled responses").lines] == ["other-lab", "sft-1 (SFT)"]


def test_nothing_yet_and_counting_say_so(people: People, monkeypatch: Any) -> None:
    assert panel(people).charts == []
    monkeypatch.setattr(kept, "get", lambda *_: None)
    assert panel(people).missing[0].text == "Biases are being counted. Look again in a minute."
