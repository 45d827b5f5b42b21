"""Curve: how accurate a reward model gets per number of rankings, of chosen prompts and of a random control.

    python -m training.curve --config curve.json --run-dir runs/curve-1

Does choosing what to rank pay? For each seed and each number n of rankings two fresh reward models learn, one from n
rankings of chosen prompts and one from n of the random control, by the same recipe. Both are measured on the control's
held-out prompts (its valid and test splits), which stand for all prompts: on chosen ones neither figure would say
anything of the rest. Training sets are nested: a larger one holds the smaller one of its seed.

`outputs/report.json` holds `points`: at each number the accuracy of both and their difference, with intervals over
prompts and seeds (`training.engine.curves`). No model is published.

Metrics: docs/metrics.md.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from training.cli import Result, run_stage
from training.contract.configs import ConfigError, CurveConfig
from training.contract.rundir import RunDir, read_json, write_json
from training.engine import batches, curves, data, device, models, processes
from training.engine.batches import Cuts, Element
from training.engine.curves import Answers
from training.engine.reward_learner import fit, trainable
from training.engine.runlog import Cancelled, RunLog
from training.engine.text import Text, load_text

STREAMS: Final = ("chosen", "control")


def main(config: CurveConfig, run_dir: RunDir, log: RunLog) -> Result:
    """The whole stage, top to bottom."""
    processes.refuse_several("curve")
    # 1. Both streams, and what all models are measured on.
    compute = device.choose(config)
    models.check_kernels(config, compute.device)
    text = load_text(config.init_model)
    material = read_material(config, text, log)
    points = curves.budgets(material.most, num_points=config.num_points)
    fits = [(seed, num) for seed in range(config.num_seeds) for num in points]
    log.say(f"{len(fits)} pairs of models, from {points[0]} to {points[-1]} rankings each")

    # 2. What is there already from an earlier start.
    kept = run_dir.checkpoints / "fits.json"
    found: dict[str, Any] = read_json(kept) or {}
    log.plan(len(fits))
    log.resume(len(found))

    # 3. For each seed and number of rankings: a model of each stream, measured on the same prompts.
    log.phase("train")
    for step, (seed, num) in enumerate(fits, start=1):
        if _key(seed, num) in found:
            continue
        if log.cancel_asked:
            raise Cancelled
        started = time.monotonic()
        answers = {
            name: learn_and_answer(config, text, material, stream=name, seed=seed, num=num, compute=compute)
            for name in STREAMS
        }
        figures = {f"curve/{name}_accuracy": answers[name].accuracy for name in STREAMS}
        log.metrics(step, figures | {"curve/rankings": float(num), "perf/step_s": time.monotonic() - started})
        found[_key(seed, num)] = {name: asdict(answers[name]) for name in STREAMS}
        write_json(kept, found)
        log.step_done(step)

    # 4. Publish.
    log.phase("publish")
    report = {"curve": {"points": measured(config, found, points)} | material.counts}
    write_json(run_dir.outputs / "report.json", report)
    log.say(describe(report["curve"]["points"][-1]))
    return Result(summary=report["curve"], inputs=material.hashes)


@dataclass(frozen=True, kw_only=True)
class Material:
    """The training elements of each stream, and the control's held-out ones."""

    streams: dict[str, list[Element]]
    held_out: list[Element]
    counts: dict[str, Any]
    hashes: dict[str, str]

    @property
    def most(self) -> int:
        """Rankings that both streams have to learn from."""
        return min(num_rankings(elements) for elements in self.streams.values())


def read_material(config: CurveConfig, text: Text, log: RunLog) -> Material:
    """Read both snapshots. Raises ConfigError, naming the one that has nothing to learn from or to measure on."""
    cuts, hashes, elements = Cuts(), {}, {}
    for name in STREAMS:
        snapshot = data.read_reward(getattr(config, name))
        hashes[name] = snapshot.manifest.sha256
        lengths = {"max_prompt_tokens": config.max_prompt_tokens, "max_response_tokens": config.max_response_tokens}
        elements[name] = batches.elements(snapshot.rows, text, cuts=cuts, **lengths)
    streams = {name: trainable(elements[name], "train") for name in STREAMS}
    for name, found in streams.items():
        if not found:
            raise ConfigError(name, "has no pair to learn from in its train split")
    held_out = [item for item in elements["control"] if item.split != "train" and has_a_pair(item)]
    if not held_out:
        raise ConfigError("control", "has no pair outside its train split, so there is nothing to measure on")
    counts = {
        "num_rankings": {name: num_rankings(found) for name, found in streams.items()},
        "num_held_out_prompts": len(held_out),
        "num_held_out_rankings": num_rankings(held_out),
        "num_seeds": config.num_seeds,
        "num_cut_prompts": cuts.prompts,
        "num_cut_responses": cuts.responses,
    }
    log.say(f"{counts['num_rankings']} rankings to learn from, {len(held_out)} held-out prompts; {cuts}")
    return Material(streams=streams, held_out=held_out, counts=counts, hashes=hashes)


def learn_and_answer(
    config: CurveConfig, text: Text, material: Material, *, stream: str, seed: int, num: int, compute: device.Compute
) -> Answers:
    """A reward model of the first `num` rankings of a seed's order, and what it has right of the held-out prompts."""
    order = curves.shuffled(material.streams[stream], seed=config.seed + seed)
    chosen = curves.beginning(order, num_rankings=num)
    setup = fit(replace(config, seed=config.seed + seed), text, chosen, compute=compute)
    return curves.answers(material.held_out, setup.scores(material.held_out))


def measured(config: CurveConfig, found: dict[str, Any], points: Sequence[int]) -> list[dict[str, Any]]:
    """At each number of rankings: both accuracies and their difference, each with its interval."""
    seeds = range(config.num_seeds)

    def of_seeds(name: str, num: int) -> list[Answers]:
        return [Answers(**found[_key(seed, num)][name]) for seed in seeds]

    num_prompts = len(of_seeds("control", points[0])[0].pairs_G)
    draws = curves.Resamples(
        num_prompts=num_prompts, num_seeds=len(seeds), num_samples=config.bootstrap_samples, seed=config.seed
    )
    rows = []
    for num in points:
        chosen_B, control_B = (draws.accuracies(of_seeds(name, num)) for name in STREAMS)
        rows.append(
            {
                "num_rankings": num,
                "chosen": curves.interval(chosen_B),
                "control": curves.interval(control_B),
                "difference": curves.interval(chosen_B - control_B),
            }
        )
    return rows


def describe(point: dict[str, Any]) -> str:
    """The last point in one line for the log."""
    chosen, control, difference = (point[name] for name in ("chosen", "control", "difference"))
    return (
        f"with {point['num_rankings']} rankings: chosen {chosen['value']:.1%}, control {control['value']:.1%},"
        f" difference {difference['value']:+.1%} ({difference['low']:+.1%} to {difference['high']:+.1%})"
    )


def has_a_pair(element: Element) -> bool:
    return any(len(set(ranking.ranks)) > 1 for ranking in element.rankings)


def num_rankings(elements: Sequence[Element]) -> int:
    return sum(len(element.rankings) for element in elements)


def _key(seed: int, num: int) -> str:
    return f"{seed}/{num}"


if __name__ == "__main__":
    raise SystemExit(run_stage("curve", main))
