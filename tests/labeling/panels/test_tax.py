"""Panel 3: losses side by side only where they were measured alike, and what is lacking offered."""

from typing import Any

import pytest
from django.test import Client

from labeling.models import Snapshot
from labeling.services import panels
from labeling.services.panels import Panel
from labeling.templatetags.panels import missing_address
from tests.labeling.conftest import People
from tests.labeling.panels import world
from tests.labeling.panels.world import interval

pytestmark = pytest.mark.django_db
WAY = {"split": "valid", "text_piece_tokens": 128, "max_text_pieces": 256}


def panel(people: People) -> Panel:
    return panels.of_project(people.project).panels[2]


def part(loss: float, reference: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"policy": {"loss": loss, "bits_per_byte": 1.5}}
    if reference is not None:
        found |= {"reference": {"loss": reference, "bits_per_byte": 1.4}, "alignment_tax": loss - reference}
    return {"text": found}


@pytest.fixture
def three(people: People, policy: Any, evaluate: Any) -> Any:
    """SFT, PPO and PPO-ptx measured on one text, the SFT model as the reference of both."""
    sft, ppo, ptx = policy("sft-1"), policy("ppo-1", "ppo", ptx_coef=0.0), policy("ptx-1", "ppo", ptx_coef=27.8)
    text = world.text(people.project)
    evaluate(part(2.5, 2.25), WAY, model=ppo, reference_model=sft, text=text)
    evaluate(part(2.3, 2.25), WAY, model=ptx, reference_model=sft, text=text)
    return sft, ppo, ptx, text


def test_losses_stand_in_the_order_of_training_each_with_its_run(people: People, three: Any) -> None:
    loss, rise = panel(people).charts
    assert [(line.label, line.figure.value) for line in loss.lines] == [
        ("sft-1 (SFT)", 2.25), ("ppo-1 (PPO)", 2.5), ("ptx-1 (PPO-ptx)", 2.3),
    ]  # fmt: skip
    assert [line.source.label for line in loss.lines if line.source] == ["evaluate-2", "evaluate-1", "evaluate-2"]
    assert loss.lines[1].note == "perplexity 12.2, 1.50 bits per byte"
    assert [(line.label, line.figure.value) for line in rise.lines] == [
        ("ppo-1 (PPO)", pytest.approx(0.25)), ("ptx-1 (PPO-ptx)", pytest.approx(0.05)),
    ]  # fmt: skip


def test_what_was_measured_as_a_policy_stays_when_it_becomes_a_reference(
    people: People, three: Any, evaluate: Any
) -> None:
    evaluate(part(2.2, 2.5), WAY, model=three[2], reference_model=three[1], text=three[3])
    rise = panel(people).charts[1]
    assert [line.label for line in rise.lines] == ["ppo-1 (PPO)", "ptx-1 (PPO-ptx)"]
    assert rise.lines[0].figure.value == pytest.approx(0.25)


def test_it_says_what_ptx_saves(people: People, three: Any) -> None:
    assert panel(people).says == [
        "Without pretraining gradients, ppo-1 reads plain text 0.250 nats per token worse than sft-1.",
        "With pretraining gradients, ptx-1 reads plain text 0.050 nats per token worse than sft-1.",
        "PPO-ptx saves 0.200 nats per token here. Without intervals nothing says how sure the difference is.",
    ]


def test_an_interval_that_the_run_measured_is_drawn(people: People, policy: Any, evaluate: Any) -> None:
    report = part(2.5, 2.25)
    report["text"]["policy"]["loss_interval"] = interval(2.5, 0.1)
    report["text"]["alignment_tax_interval"] = interval(0.25, 0.02)
    evaluate(
        report, WAY, model=policy("ppo-1", "ppo"), reference_model=policy("sft-1"), text=world.text(people.project)
    )
    loss, rise = panel(people).charts
    ppo = next(line for line in loss.lines if line.label == "ppo-1 (PPO)")
    assert (ppo.figure.low, ppo.figure.high) == (2.4, 2.6)
    assert (rise.lines[0].figure.low, rise.lines[0].figure.high) == (0.23, 0.27)
    assert not any("before intervals" in caveat for caveat in panel(people).caveats)


def test_what_was_measured_on_other_text_or_otherwise_is_not_put_beside(
    people: People, three: Any, policy: Any, evaluate: Any
) -> None:
    later, other = policy("ptx-2", "ppo", ptx_coef=1.0), policy("ptx-3", "ppo", ptx_coef=1.0)
    evaluate(part(9.0), WAY, model=later, text=world.text(people.project, "books"))
    evaluate(part(8.0), WAY | {"split": "all"}, model=other, text=three[3])
    evaluate(part(2.4), WAY, model=three[1], text=three[3])
    found = panel(people)
    assert [line.label for line in found.charts[0].lines] == ["sft-1 (SFT)", "ppo-1 (PPO)", "ptx-1 (PPO-ptx)"]
    assert found.charts[0].lines[1].figure.value == 2.4  # the newest figure of each
    assert any("2 more" in caveat for caveat in found.caveats)


def test_of_each_kind_the_three_newest_models_stand_there_newest_first(
    people: People, policy: Any, evaluate: Any
) -> None:
    text = world.text(people.project)
    for number in (1, 2, 3, 4):
        evaluate(part(2.0), WAY, model=policy(f"sft-{number}"), text=text)
    evaluate(part(2.0), WAY, model=policy("ppo-1", "ppo"), text=text)
    labels = [line.label for line in panel(people).charts[0].lines]
    assert labels == ["sft-4 (SFT)", "sft-3 (SFT)", "sft-2 (SFT)", "ppo-1 (PPO)"]


def test_text_that_was_frozen_twice_is_the_same_text(people: People, policy: Any, evaluate: Any) -> None:
    text = world.text(people.project)
    again = Snapshot.objects.create(project=people.project, name="again", kind="text", state="same", same_as=text)
    evaluate(part(2.5), WAY, model=policy("sft-1"), text=text)
    evaluate(part(2.4), WAY, model=policy("sft-2"), text=again)
    assert [line.label for line in panel(people).charts[0].lines] == ["sft-2 (SFT)", "sft-1 (SFT)"]


def test_a_policy_that_was_not_measured_is_offered_the_same_way(people: People, three: Any, policy: Any) -> None:
    newest = policy("ppo-2", "ppo")
    (one,) = panel(people).missing
    assert one.label == "Evaluate ppo-2"
    assert one.query["model"] == str(newest.uid)
    newest.is_retired = True
    newest.save()
    assert panel(people).missing == []


@pytest.mark.parametrize(("given", "wanted"), [(27.8, "0"), (0.0, "27.8")])
def test_ppo_of_one_kind_alone_offers_the_other(people: People, policy: Any, given: float, wanted: str) -> None:
    model = policy("ppo-1", "ppo", ptx_coef=given)
    one = panel(people).missing[0]
    assert (one.page, one.args) == ("run_new_stage", ("ppo",))
    assert one.query == {"from": str(model.run.uid), "ptx_coef": wanted}


def test_both_kinds_offer_neither(people: People, three: Any) -> None:
    assert panel(people).missing == []


def test_a_policy_without_text_to_measure_on_leads_to_freezing_some(people: People, policy: Any) -> None:
    model = policy("sft-1")
    Snapshot.objects.create(project=people.project, name="still being made", kind="text", state="queued")
    assert [(one.page, one.query) for one in panel(people).missing] == [("snapshot_new", {"kind": "text"})]
    text = world.text(people.project)
    (one,) = panel(people).missing
    assert one.label == "Evaluate sft-1 on public text"
    assert one.query == {"model": str(model.uid), "text": str(text.uid)}, "it is its own reference no more than a judge"


def test_no_policy_at_all_leads_to_training_one(people: People) -> None:
    assert [(one.page, one.args) for one in panel(people).missing] == [("run_new_stage", ("sft",))]


def test_a_failed_evaluation_and_another_projects_are_not_read(people: People, policy: Any) -> None:
    failed = {"state": "failed", "failure_kind": "failed"}
    world.evaluation(people.project, part(1.0), WAY, {"model": policy("sft-1")}, **failed)
    other = people.stranger.memberships.get().project
    world.evaluation(other, part(7.0), WAY, {"model": world.model(other, "sft-9", "sft", {})})
    assert panel(people).charts == []


def test_the_offers_open_a_form_that_is_filled_in(client: Client, people: People, three: Any, policy: Any) -> None:
    client.force_login(people.manager)
    newest = policy("ppo-2", "ppo", ptx_coef=0.0)
    (one,) = panel(people).missing
    text = client.get(missing_address(one, "tea")).content.decode()
    assert f'<option value="{newest.uid}" selected>' in text
    assert f'<option value="{three[3].uid}" selected>' in text
    without = f"/p/tea/runs/new/ppo/?from={three[2].run.uid}&ptx_coef=0"
    assert 'name="ptx_coef" value="0"' in client.get(without).content.decode()
