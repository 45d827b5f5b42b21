"""Reward model: learns from rankings to give a better response a higher number.

    python -m training.reward --config FILE --run-dir DIR

All pairs of all rankings of a prompt are one element of the batch (InstructGPT, section 3.5): −1/pairs · Σ log σ(r_w
− r_l), mean over prompts. Several labelers of one prompt are weighted rankings of one element, whose responses are
encoded once; in the default layout the prompt too (`training.engine.tree`). Held-out labelers never train. After
training a bias sets the mean score of demonstrations (or of the training responses) to 0.

`outputs/report.json` holds pair accuracy on train, valid, test and held-out labelers with intervals, per category and
rank distance, calibration, correlation with length, and the human agreement beside it (see `training.engine.report`).
`outputs/scores.jsonl` holds what the published model says of each ranked response (see `training.score`).

Metrics: `reward/loss` · `reward/accuracy` share of right pairs in the batch · `reward/valid_loss`,
`reward/valid_accuracy` on the valid split after each epoch · `reward/score_mean` · `reward/learning_rate` ·
`reward/gradient_norm` before clipping · `reward/epoch` · `perf/*`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.cli import Result, run_stage
from training.contract.configs import ConfigError, RewardConfig
from training.contract.records import ScoreRow, canonical_line
from training.contract.rundir import RunDir, write_bytes, write_json
from training.engine import adapters, batches, data, models, sharding
from training.engine.batches import Cuts, Element
from training.engine.checkpoints import Checkpoints
from training.engine.device import choose, seed_everything
from training.engine.optim import adamw
from training.engine.processes import Processes
from training.engine.report import reward_report
from training.engine.reward_learner import Setup, learn, learning_rate, load_model, measure, trainable
from training.engine.rewards import choose_layout
from training.engine.runlog import Cancelled, RunLog, throughput
from training.engine.text import Text, load_text


def main(config: RewardConfig, run_dir: RunDir, log: RunLog) -> Result:
    """One run, from the config to the published reward model and its report."""
    # 1. The SFT model with a fresh scalar head, in fp32, dropout off for the whole run
    compute = choose(config)
    models.check_kernels(config, compute.device)
    processes = Processes.join(compute)
    seed_everything(config.seed)
    text = load_text(config.init_model)
    model = load_model(config, text)
    layout, why = choose_layout(model, config.layout)
    model = sharding.place(model, compute, processes)
    setup = Setup(
        config=config,
        compute=compute,
        processes=processes,
        text=text,
        model=model,
        layout=layout,
    )
    sharded = ", sharded by FSDP" if sharding.is_sharded(model) else ""
    log.say(f"{models.describe(model)} on {compute.device}, {processes}{sharded}; layout: {layout}")
    if why:
        log.say(f"layout {layout} instead of {config.layout}: {why}")

    # 2. Rankings, grouped by prompt
    material = read_material(config, text, log)

    # 3. How many steps that is
    steps_per_epoch = batches.num_batches(len(material.train), config.batch_size)
    num_steps = steps_per_epoch * config.num_epochs
    num_steps = min(num_steps, config.max_steps or num_steps)
    log.plan(num_steps)
    selects_best = config.select == "best" and bool(material.valid)
    selected_by = "lowest validation loss" if selects_best else "last step"
    log.say(f"{num_steps} steps of {config.batch_size} prompts; selection: {selected_by}")

    # 4. Go on where a killed run stopped
    optimizer = adamw(model, config)
    checkpoints = Checkpoints(run_dir.checkpoints, say=log.say, processes=processes)
    processes.seed(config.seed)
    done, best = resume(checkpoints, setup, optimizer, log)

    # 5. Learn
    log.phase("train")
    for step in range(done, num_steps):
        started = time.monotonic()
        chosen = batches.batch_indices(len(material.train), batch_size=config.batch_size, step=step, seed=config.seed)
        elements = [material.train[index] for index in chosen]
        rate = learning_rate(config, step, num_steps=num_steps)
        values = learn(setup, optimizer, elements, learning_rate=rate)
        values["reward/epoch"] = (step + 1) / steps_per_epoch
        is_better = False
        if material.valid and ((step + 1) % steps_per_epoch == 0 or step + 1 == num_steps):
            values |= measure(setup, material.valid)
            figure = values["reward/valid_loss"]
            is_better = selects_best and (best is None or figure < best[1])
            best = (step + 1, figure) if is_better else best
        num_tokens = sum(len(item.prompt) + len(ids) for item in elements for ids in item.responses)
        log.metrics(step + 1, values | throughput(num_tokens, started))

        # 6. Keep what a resumed run needs
        is_due = (step + 1) % config.checkpoint_every == 0 or step + 1 == num_steps
        is_cancelled = processes.any(log.cancel_asked)
        if is_better or is_due or is_cancelled:
            state = {
                "model": sharding.whole(adapters.state(model)),
                "optimizer": sharding.whole(optimizer.state_dict()),
                "rng": processes.rng_state(),
                "best": best,
            }
            checkpoints.save(step + 1, state, best=best)
        log.step_done(step + 1)
        if is_cancelled:
            raise Cancelled

    # 7. The chosen weights and their report, which is of differences of scores: the bias changes none
    log.phase("publish")
    chosen_step = best[0] if best else num_steps
    weights = checkpoints.load(chosen_step)["model"]
    sharding.load_state(model, weights)
    bias = -mean_reference(setup, material)
    scores = setup.scores(material.all)
    report = reward_report(material.all, scores, num_samples=config.bootstrap_samples, seed=config.seed)
    report |= {
        "selected_by": selected_by,
        "selected_step": chosen_step,
        "bias": bias,
        "bias_reference": material.reference_name,
        "num_parameters": models.num_parameters(model),
    } | material.counts

    # 8. Publish, with the bias that makes the mean of the reference 0
    if processes.is_main:
        write_bytes(run_dir.outputs / "scores.jsonl", b"".join(score_lines(material, scores, bias=bias)))
        models.save_model(publishable(setup, weights, bias), text, run_dir.outputs / "model")
        write_json(run_dir.outputs / "report.json", report)
    log.say(describe(report))
    return Result(summary=report, inputs=material.hashes)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Rankings as token ids. `train` and `valid` hold only rankings of labelers that train, and with at least one
    pair."""

    train: list[Element]
    valid: list[Element]
    all: list[Element]
    texts: list[list[str]]
    reference: list[Element]
    reference_name: str
    counts: dict[str, int]
    hashes: dict[str, str]


def read_material(config: RewardConfig, text: Text, log: RunLog) -> Material:
    """Read the inputs. Raises ConfigError when there is nothing to learn from."""
    cuts = Cuts()
    limits = {"max_prompt_tokens": config.max_prompt_tokens, "max_response_tokens": config.max_response_tokens}
    snapshot = data.read_reward(config.dataset)
    hashes = {"dataset": snapshot.manifest.sha256}
    everything = batches.elements(snapshot.rows, text, cuts=cuts, **limits)
    train, valid = (trainable(everything, split) for split in ("train", "valid"))
    if not train:
        raise ConfigError(
            "dataset", "has no pair to learn from: no ranking of its train split ranks two responses apart"
        )
    reference, name = train, "mean of the training responses"
    if config.demonstrations:
        rows = data.read_demonstrations(config.demonstrations)
        hashes["demonstrations"] = rows.manifest.sha256
        examples = batches.demonstrations(rows.rows, text, cuts=cuts, **limits)
        reference, name = [batches.lone(item, end_id=text.end_id) for item in examples], "mean of the demonstrations"
    counts = {
        "num_rankings": len(snapshot.rows),
        "num_train_prompts": len(train),
        "num_train_rankings": sum(len(element.rankings) for element in train),
        "num_valid_prompts": len(valid),
        "num_held_out_rankings": sum(row.held_out for row in snapshot.rows),
        "num_cut_prompts": cuts.prompts,
        "num_cut_responses": cuts.responses,
    }
    log.say(f"{counts['num_train_rankings']} rankings of {len(train)} prompts to learn from; {cuts}")
    return Material(
        train=train,
        valid=valid,
        all=everything,
        texts=batches.texts(snapshot.rows),
        reference=reference,
        reference_name=name,
        counts=counts,
        hashes=hashes,
    )


def score_lines(material: Material, scores: Sequence[Sequence[float]], *, bias: float) -> Iterator[bytes]:
    """What the published model says of each response that was ranked, a line each, as `training.score` writes them."""
    said: set[tuple[str, str]] = set()
    for element, texts, values in zip(material.all, material.texts, scores, strict=True):
        for text, score in zip(texts, values, strict=True):
            if (element.prompt_id, text) not in said:  # a prompt may stand in two splits
                said.add((element.prompt_id, text))
                yield canonical_line(ScoreRow.of(element.prompt_id, text, [score + bias]).to_dict())


def publishable(setup: Setup, weights: dict[str, Tensor], bias: float) -> Any:
    """The plain model that is published, with the bias; that of a sharded one is put together on the host."""
    model = load_model(setup.config, setup.text) if sharding.is_sharded(setup.model) else setup.model
    adapters.load_state(model, weights)
    adapters.merge(model)
    models.set_reward_bias(model, bias)
    return model


def mean_reference(setup: Setup, material: Material) -> float:
    """Mean score of the reference responses before the bias."""
    scores = [score for values in setup.scores(material.reference) for score in values]
    return sum(scores) / len(scores)


def resume(
    checkpoints: Checkpoints, setup: Setup, optimizer: torch.optim.Optimizer, log: RunLog
) -> tuple[int, tuple[int, float] | None]:
    """Restore the latest good checkpoint: (steps done, best so far)."""
    found = checkpoints.load_latest()
    if found is None:
        log.resume(0)
        return 0, None
    step, state = found
    sharding.load_state(setup.model, state["model"])
    sharding.load_optimizer(optimizer, state["optimizer"])
    setup.processes.restore_rng_state(state["rng"], seed=setup.config.seed)
    log.resume(step)
    return step, tuple(state["best"]) if state["best"] else None


def describe(report: dict[str, Any]) -> str:
    """The accuracies in one line for the log."""
    found = [(name, value) for name, value in report["accuracy"].items() if value]
    return "pair accuracy: " + ", ".join(f"{name} {value['value']:.1%}" for name, value in found)


if __name__ == "__main__":
    raise SystemExit(run_stage("reward", main))
