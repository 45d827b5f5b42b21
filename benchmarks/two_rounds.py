"""Two whole rounds of the demo project with scripted labelers of a known, hidden preference: does the policy please
them more from round to round?

    python benchmarks/two_rounds.py [--json FILE] [--quick] [--responses 4]

Real workers, database and broker in a throw-away folder; everything through the services that the pages call. First an
SFT policy answers and its answers are ranked, then two rounds run by themselves (freeze, SFT, reward model, PPO,
sample, tasks), each followed by the labelers' rankings of what the new policy said. At the end the labelers compare
both rounds' policies with SFT, blind, on held-out prompts: a human evaluation. docs/benchmarks.md says what was seen.
"""

import argparse
import itertools
import json
import logging
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crowd import site
from faults.floor import Floor, wait_for
from hidden_taste import people
from hidden_taste.taste import preference

if TYPE_CHECKING:
    from labeling.models import Evaluation, Model, Project, Round, User

PRESET: Final = "tiny-cpu"
LONGEST: Final = 3600.0
NUM_ROUNDS: Final = 2


@dataclass(frozen=True)
class Rate:
    """How often one is preferred to the other, ties half; the interval is over prompts."""

    value: float
    low: float
    high: float
    num_prompts: int


@dataclass(frozen=True)
class Figures:
    """A policy as the labelers see it."""

    name: str
    over_sft: Rate | None
    over_before: Rate | None  # over the policy that the round began with
    liked: float  # mean points of its answers to held-out prompts


def main() -> int:
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.update(HF_HUB_OFFLINE="1")
    started = time.monotonic()
    with site.throw_away_home() as home, site.services(home):
        site.migrate()
        logging.getLogger("labeling").setLevel(logging.WARNING)
        floor = Floor(home)
        for name in ("gpu", "worker", "beat"):
            floor.start(name)
        try:
            result = _loop(args)
        finally:
            floor.stop()
    result["seconds"] = round(time.monotonic() - started)
    _print(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _loop(args: argparse.Namespace) -> dict[str, Any]:
    project, manager, labelers = people.demo_project()
    sft = _first_policy(project, manager, num_responses=args.responses)
    say(f"{people.answer_everything(project, labelers)} tasks answered: the demo's own, and what SFT said")
    policies, rounds = [sft], []
    for _ in range(NUM_ROUNDS):
        began = time.monotonic()
        done, num_alarms = _round(project, manager, num_responses=args.responses)
        num = people.answer_everything(project, labelers)
        policies.append(_model_of(done))
        rounds.append(_told(done, num_rankings=num, num_alarms=num_alarms, seconds=time.monotonic() - began))
        say(f"round {done.number} in {rounds[-1]['seconds']} s, {num} tasks answered")
    compared = _compared(project, manager, labelers, policies, num_prompts=20 if args.quick else people.NUM_HELD_OUT)
    return {"rounds": rounds, "policies": [asdict(row) for row in compared], "rises": _rises(compared)}


def _first_policy(project: "Project", manager: "User", *, num_responses: int) -> "Model":
    """SFT on the demo's demonstrations; its answers to every prompt become ranking tasks."""
    from labeling.models import Model, Prompt
    from labeling.services import tasks

    sft = _run(project, manager, "sft", {"dataset": _frozen(project, "sft")})
    model = Model.objects.get(run=sft)
    inputs = {"model": model, "prompts": _frozen(project, "prompts")}
    _run(project, manager, "generate", inputs, num_responses=num_responses)
    tasks.make_ranking_tasks(
        project=project,
        prompts=Prompt.objects.filter(responses__model=model).distinct().order_by("pk"),
        num_responses=num_responses,
        num_wanted=project.overlap,
        user=manager,
        model=model,
    )
    return model


def _round(project: "Project", manager: "User", *, num_responses: int) -> "tuple[Round, int]":
    """A round from beginning to end. When its alarm rings the manager goes on, and the bell is counted."""
    from labeling.models import Round
    from labeling.services import rounds

    begun = rounds.start(project=project, user=manager, preset=PRESET, responses_per_prompt=num_responses)
    num_alarms = 0
    while True:
        wait_for(lambda: _stands(begun) not in (Round.State.RUNNING,), seconds=LONGEST, what="the round stands still")
        if begun.state == Round.State.DONE:
            return begun, num_alarms
        if begun.state != Round.State.WAITING:
            raise SystemExit(f"round {begun.number} is {begun.state}: {begun.error}")
        num_alarms += 1
        rounds.proceed(begun)


def _stands(begun: "Round") -> str:
    begun.refresh_from_db()
    return begun.state


def _told(done: "Round", *, num_rankings: int, num_alarms: int, seconds: float) -> dict[str, Any]:
    ppo, reward = done.ppo_run, done.reward_run
    assert ppo and reward  # noqa: PT018  # the round is done
    return {
        "number": done.number,
        "num_rankings": num_rankings,
        "num_alarms": num_alarms,
        "seconds": round(seconds),
        "accuracy": reward.result["report"]["accuracy"].get("valid"),
        "valid": {name: value for name, value in ppo.result["summary"].items() if name.startswith("valid_")},
    }


def _compared(
    project: "Project", manager: "User", labelers: "list[User]", policies: "list[Model]", *, num_prompts: int
) -> list[Figures]:
    """A human evaluation of both rounds' policies against SFT."""
    from labeling.models import Evaluation, Split
    from labeling.services import evaluations
    from training.contract import configs

    usual = configs.preset("generate", PRESET)
    wish = evaluations.Wish(
        project=project,
        name="After two rounds",
        models=policies,
        baseline=policies[0],
        kind=Evaluation.Kind.PAIRS,
        splits=[Split.VALID],
        num_prompts=num_prompts,
        num_wanted=len(labelers),
        preset=PRESET,
        sampling={name: usual[name] for name in evaluations.SETTINGS},
    )
    asked = evaluations.start(wish, user=manager)
    _wait_until(asked, Evaluation.Step.JUDGE)
    say(f"{people.answer_everything(project, labelers)} comparisons answered")
    report = evaluations.results.of(asked)
    befores = [None, *policies]
    return [
        _figures(policy, policies[0], before, report, asked) for policy, before in zip(policies, befores, strict=False)
    ]


def _wait_until(asked: "Evaluation", step: str) -> None:
    def there() -> bool:
        asked.refresh_from_db()
        if asked.state == asked.State.FAILED:
            raise SystemExit(f"the evaluation failed: {asked.error}")
        return asked.step == step

    wait_for(there, seconds=LONGEST, what=f"the evaluation is at {step}")


def _figures(policy: "Model", sft: "Model", before: "Model | None", report: Any, asked: "Evaluation") -> Figures:
    from labeling.models import Response

    texts = Response.objects.filter(model=policy, task_responses__task__evaluation=asked).distinct()
    points = [preference(text) for text in texts.values_list("text", flat=True)]
    liked = sum(points) / max(1, len(points))
    if before is None:
        return Figures(policy.name, None, None, liked)
    return Figures(policy.name, _rate(report, policy, sft), _rate(report, policy, before), liked)


def _rate(report: Any, policy: "Model", rival: "Model") -> Rate:
    figure = report.of_models(policy.pk, rival.pk).figure
    return Rate(figure.value, figure.low, figure.high, figure.num_tasks)


def _rises(compared: list[Figures]) -> bool:
    """Over SFT, from chance by the first round's policy to the second's."""
    rates = [0.5, *(row.over_sft.value for row in compared if row.over_sft)]
    return all(later > earlier for earlier, later in itertools.pairwise(rates))


def _run(project: "Project", manager: "User", stage: str, inputs: dict[str, Any], **changes: Any) -> Any:
    from labeling.services import runs
    from training.contract import configs

    config = {name: value for name, value in configs.preset(stage, PRESET).items() if name not in inputs} | changes
    run = runs.create(project=project, stage=stage, config=config, inputs=inputs, user=manager)

    def is_over() -> bool:
        run.refresh_from_db()
        return run.state in ("succeeded", "failed", "cancelled")

    wait_for(is_over, seconds=LONGEST, what=f"{stage} is over")
    if run.state != "succeeded":
        raise SystemExit(f"{stage} {run.state}: {run.error}")
    return run


def _frozen(project: "Project", kind: str) -> Any:
    from labeling.services import snapshots

    built = snapshots.build(snapshots.create(project=project, kind=kind, name=f"{kind} at first").pk)
    assert built is not None
    assert built.resolved.state == "ready", built.error
    return built.resolved


def _model_of(done: "Round") -> "Model":
    from labeling.models import Model

    return Model.objects.get(run=done.ppo_run)


def _print(result: dict[str, Any]) -> None:
    print("| policy | win rate over SFT | over the policy before | held-out prompts | points (0 to 5) |")
    print("|---|---|---|---|---|")
    for row in result["policies"]:
        num = row["over_sft"]["num_prompts"] if row["over_sft"] else ""
        rates = " | ".join(map(_written, (row["over_sft"], row["over_before"])))
        print(f"| {row['name']} | {rates} | {num} | {row['liked']:.2f} |")
    print("\n| round | rankings | reward accuracy, valid | KL | reward before → after | alarms | seconds |")
    print("|---|---|---|---|---|---|---|")
    for row in result["rounds"]:
        accuracy, valid = row["accuracy"] or {}, row["valid"]
        held = f"{accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%})" if accuracy else ""
        moved = f"{valid.get('valid_reward_before', 0):.2f} → {valid.get('valid_reward_after', 0):.2f}"
        figures = (row["number"], row["num_rankings"], held, f"{valid.get('valid_kl_after', 0):.1f}", moved)
        print("| " + " | ".join(map(str, (*figures, row["num_alarms"], row["seconds"]))) + " |")
    print(f"\nrises from round to round: {'yes' if result['rises'] else 'no'}; {result['seconds']} s in all")


def _written(rate: dict[str, Any] | None) -> str:
    return f"{rate['value']:.1%} ({rate['low']:.1%} to {rate['high']:.1%})" if rate else ""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="compare on 20 held-out prompts instead of 60")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--responses", type=int, default=4, help="per prompt")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
