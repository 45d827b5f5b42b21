"""Does choosing pay? Both streams frozen apart, one run, and a sentence that says no more than the intervals hold."""

from typing import Any

import pytest
from django.urls import reverse

from labeling.models import Run, Snapshot, Task
from labeling.services import snapshots
from labeling.services.scores import payoff
from labeling.services.scores.payoff import PayoffError
from tests.labeling.test_snapshots import rank, rows


@pytest.fixture
def streams(people: Any, make_prompt: Any) -> Any:
    """Twelve ranked prompts of each stream to learn from, twelve of the control to measure on, and one in order."""

    def judged(name: str, stream: str, split: str = "train") -> None:
        ranking = rank(people, make_prompt(name, k=2, split=split), people.labeler, [1, 2])
        Task.objects.filter(pk=ranking.task_id).update(stream=stream)

    for number in range(12):
        judged(f"chosen {number}", "active")
        judged(f"random {number}", "random")
        judged(f"held out {number}", "random", "valid" if number % 2 else "test")
    judged("in order", "order")


def measured(people: Any, *gains: tuple[float, float, float], **fields: Any) -> Run:
    """A run of the stage that is done, by the difference at each number of rankings: value, low, high."""
    points = [
        {
            "num_rankings": 100 * 2**place,
            "chosen": {"value": 0.6 + gain, "low": 0.55 + gain, "high": 0.65 + gain},
            "control": {"value": 0.6, "low": 0.55, "high": 0.65},
            "difference": {"value": gain, "low": low, "high": high},
        }
        for place, (gain, low, high) in enumerate(gains)
    ]
    report = {"curve": {"points": points, "num_seeds": 3, "num_held_out_prompts": 40}}
    name = f"curve-{Run.objects.count()}"
    done = {"state": "succeeded", "finished_at": "2026-01-01T00:00Z", "result": {"report": report}}
    return Run.objects.create(project=people.project, stage="curve", name=name, idempotency_key=name, **done | fields)


def test_each_stream_is_frozen_alone_and_read_by_the_run(
    people: Any,
    streams: Any,
    make_model: Any,
) -> None:
    made = [snapshots.build(item.pk) for item in payoff.freeze(project=people.project, user=people.manager)]
    prompts = [{row["prompt"][0]["content"].split(" ")[0] for row in rows(snapshot)} for snapshot in made]
    assert prompts == [{"chosen"}, {"random", "held"}]
    assert payoff.state(people.project).is_frozen
    run = payoff.start(
        project=people.project, model=make_model(), preset="tiny-cpu", num_seeds=5, key="k", user=people.manager
    )
    assert (run.stage, run.state, run.config["num_seeds"]) == ("curve", "queued", 5)
    read = {item.name: item.snapshot for item in run.inputs.all() if item.snapshot}
    assert read == {"chosen": made[0], "control": made[1]}
    assert payoff.state(people.project).live == run


def test_nothing_starts_before_both_are_frozen(people: Any, streams: Any, make_model: Any) -> None:
    start = {"project": people.project, "model": make_model(), "preset": "tiny-cpu", "num_seeds": 3, "key": "k"}
    with pytest.raises(PayoffError, match="Freeze both"):
        payoff.start(**start, user=people.manager)
    payoff.freeze(project=people.project, user=people.manager)
    assert payoff.state(people.project).is_freezing
    with pytest.raises(PayoffError, match="Freeze both"):
        payoff.start(**start, user=people.manager)


def test_too_little_to_learn_from_or_to_measure_on_is_said(people: Any, streams: Any) -> None:
    state = payoff.state(people.project)
    assert [(item.num_train, item.num_held_out) for item in state.material.values()] == [(12, 0), (12, 12)]
    assert state.why_not == ""
    Task.objects.filter(prompt__split__in=["valid", "test"]).update(stream="order")
    assert "to measure on" in payoff.state(people.project).why_not
    Task.objects.filter(stream="active").update(stream="order")
    assert "Each stream needs 10" in payoff.state(people.project).why_not
    with pytest.raises(PayoffError, match="Each stream needs 10"):
        payoff.freeze(project=people.project, user=people.manager)
    assert not Snapshot.objects.exists()


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ((0.031, 0.004, 0.06), "Choosing pays here: with 200 rankings each, 3.1 points more accuracy than by lot."),
        ((-0.02, -0.04, -0.001), "Choosing costs here: with 200 rankings each, 2.0 points less accuracy than by lot."),
        ((0.02, -0.01, 0.05), "It cannot be told: with 200 rankings each, 2.0 points more accuracy than by lot, and"),
    ],
)
def test_the_sentence_says_what_the_last_interval_holds(people: Any, gain: Any, said: str) -> None:
    curve = payoff.curve_of(measured(people, (0.5, 0.4, 0.6), gain))
    assert curve is not None
    assert curve.verdict.startswith(said)


def test_a_run_without_a_report_of_ours_is_no_curve(people: Any) -> None:
    assert payoff.curve_of(measured(people, result={})) is None
    assert payoff.curve_of(measured(people, result={"report": {"curve": []}})) is None


def test_the_page_draws_the_newest_curve_and_lists_the_others(client: Any, people: Any) -> None:
    first = measured(people, (0.1, 0.05, 0.2), (0.03, 0.01, 0.05))
    second = measured(people, (-0.02, -0.04, -0.001))
    client.force_login(people.manager)
    page = client.get(reverse("payoff", args=["tea"])).content.decode()
    assert page.index("Choosing costs here") < page.index("Choosing pays here")
    assert "+3.0" not in page
    asked = client.get(reverse("payoff", args=["tea"]) + f"?run={first.uid}").content.decode()
    assert "+3.0" in asked
    assert '<svg viewBox="0 0 360 230"' in asked
    assert str(second.uid) in asked


def test_the_page_freezes_starts_and_follows_the_run(
    client: Any,
    people: Any,
    streams: Any,
    make_model: Any,
) -> None:
    client.force_login(people.manager)
    assert "1. Freeze both streams" in client.get(reverse("payoff", args=["tea"])).content.decode()
    client.post(reverse("payoff_freeze", args=["tea"]))
    assert "Load the page again" in client.get(reverse("payoff", args=["tea"])).content.decode()
    for snapshot in Snapshot.objects.all():
        snapshots.build(snapshot.pk)
    model = make_model()
    page = client.get(reverse("payoff", args=["tea"]))
    sent = {"model": str(model.uid), "preset": "tiny-cpu", "num_seeds": "2"}
    sent |= {"idempotency_key": page.context["form"].initial["idempotency_key"]}
    wrong = client.post(reverse("payoff_start", args=["tea"]), sent | {"num_seeds": "1"})
    assert (wrong.status_code, Run.objects.count()) == (422, 0)
    for _ in range(2):  # sent twice it is one run
        started = client.post(reverse("payoff_start", args=["tea"]), sent)
    run = Run.objects.get()
    assert started.headers["Location"] == reverse("run", args=["tea", run.uid])
    assert "is at it" in client.get(reverse("payoff", args=["tea"])).content.decode()


def test_a_snapshot_of_one_stream_says_so_in_the_form(client: Any, people: Any, streams: Any) -> None:
    client.force_login(people.manager)
    sent = {"kind": "reward", "name": "lot", "streams": ["random"], "reviewed": ""}
    client.post(reverse("snapshot_new", args=["tea"]), sent)
    assert Snapshot.objects.get().filters == {"streams": ["random"]}
