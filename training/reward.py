"""Reward model: learns from rankings to give a better response a higher number.

    python -m training.reward --config FILE --run-dir DIR

All pairs of all rankings of a prompt are one element of the batch (InstructGPT, section 3.5): −1/pairs · Σ log σ(r_w
− r_l), mean over prompts. Several labelers of one prompt are weighted rankings of one element, whose responses are
encoded once; in the default layout the prompt too (`training.engine.tree`). Held-out labelers never train. After
training a bias sets the mean score of demonstrations (or of the training responses) to 0.

`outputs/report.json` holds pair accuracy on train, valid, test and held-out labelers with intervals, per category and
rank distance, calibration, correlation with length, and the human agreement beside it (see `training.engine.report`).

Metrics: `reward/loss` · `reward/accuracy` share of right pairs in the batch · `reward/valid_loss`,
`reward/valid_accuracy` on the valid split after each epoch · `reward/score_mean` · `reward/learning_rate` ·
`reward/gradient_norm` before clipping · `reward/epoch` · `perf/*`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from training.cli import Result, run_stage
from training.contract.configs import ConfigError, RewardConfig
from training.contract.rundir import RunDir, write_json
from training.engine import adapters, batches, data, models, optim, sharding
from training.engine.batches import Cuts, Element
from training.engine.checkpoints import Checkpoints
from training.engine.device import Compute, choose, seed_everything
from training.engine.losses import kwise_losses, pad_rankings
from training.engine.optim import adamw, check_finite, cosine_lr, optimiser_step
from training.engine.processes import Processes
from training.engine.report import judged_pairs, reward_report
from training.engine.rewards import LAYOUTS, choose_layout, flat_rankings, laid_out, packs, score_all, token_rows
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
        learning_rate = cosine_lr(
            step,
            num_steps=num_steps,
            peak=config.learning_rate,
            final_fraction=config.final_lr_fraction,
            warmup_steps=config.warmup_steps,
        )
        values = learn(setup, optimizer, elements, learning_rate=learning_rate)
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
        models.save_model(publishable(setup, weights, bias), text, run_dir.outputs / "model")
        write_json(run_dir.outputs / "report.json", report)
    log.say(describe(report))
    return Result(summary=report, inputs=material.hashes)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The model and what goes with it."""

    config: RewardConfig
    compute: Compute
    processes: Processes
    text: Text
    model: Any
    layout: str

    def scores(self, elements: Sequence[Element]) -> list[list[float]]:
        """The score of each response of each element, without the bias. A sharded model scores in step: all processes
        score all elements."""
        is_sharded = sharding.is_sharded(self.model)
        scores = sharding.within(
            self.model,
            lambda: score_all(
                self.model,
                elements if is_sharded else self.processes.share(elements),
                layout="rows" if self.layout == "pairs" else self.layout,
                max_elements=self.config.micro_batch_size,
                max_tokens=self.config.max_forward_tokens,
                compute=self.compute,
                pad_id=self.text.pad_id,
            ),
        )
        return scores if is_sharded else self.processes.whole(scores)

    def loss(self, elements: Sequence[Element]) -> tuple[Tensor, Tensor]:
        """Σ weight · loss over the rankings of one forward pass, and the scores that it came from."""

        def compute() -> Tensor:
            with self.compute.autocast():
                return LAYOUTS[self.layout](self.model, elements, pad_id=self.text.pad_id)

        scores_N = sharding.within(self.model, compute)
        return weighted_loss(scores_N, elements, self.config)[0], scores_N.detach()


@dataclass(frozen=True, kw_only=True)
class Material:
    """Rankings as token ids. `train` and `valid` hold only rankings of labelers that train, and with at least one
    pair."""

    train: list[Element]
    valid: list[Element]
    all: list[Element]
    reference: list[Element]
    reference_name: str
    counts: dict[str, int]
    hashes: dict[str, str]


def load_model(config: RewardConfig, text: Text) -> Any:
    """The SFT model with a fresh head, ready to learn."""
    model = models.reward_from_policy(config.init_model, text, seed=config.seed)
    models.check_lengths(
        model, max_prompt_tokens=config.max_prompt_tokens, max_response_tokens=config.max_response_tokens
    )
    models.prepare_training(model, config)
    return model


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
        reference=reference,
        reference_name=name,
        counts=counts,
        hashes=hashes,
    )


def trainable(elements: Sequence[Element], split: str) -> list[Element]:
    """The elements of a split with the rankings that may train: not of held-out labelers, and not one single tie."""
    kept = [
        replace(
            element, rankings=tuple(item for item in element.rankings if not item.held_out and len(set(item.ranks)) > 1)
        )
        for element in elements
        if element.split == split
    ]
    return [element for element in kept if element.rankings]


def learn(
    setup: Setup, optimizer: torch.optim.Optimizer, elements: Sequence[Element], *, learning_rate: float
) -> dict[str, float]:
    """One optimiser step: the weighted mean over the rankings of the batch. Returns metrics."""
    total_weight = sum(weight for _, _, weight in flat_rankings(elements))
    sums = {"loss": 0.0, "right": 0.0, "pairs": 0.0, "score": 0.0, "responses": 0.0}
    own = setup.processes.share(elements)
    placed = [laid_out(element, layout=setup.layout, divisor=setup.config.divisor) for element in own]
    limits = {"max_elements": setup.config.micro_batch_size, "max_tokens": setup.config.max_forward_tokens}
    parts = [[placed[index] for index in pack] for pack in packs(placed, layout=setup.layout, **limits)]
    spare = [laid_out(elements[0], layout=setup.layout, divisor=setup.config.divisor)]
    for part, factor in sharding.evened(setup.model, parts, setup.processes, spare=spare):
        with models.learning(setup.model):
            loss, scores_N = setup.loss(part)
            check_finite("reward/loss", loss.item(), partial(token_rows, part, pad_id=setup.text.pad_id))
            (loss * (factor / total_weight)).backward()  # type: ignore[no-untyped-call]
        if factor:
            _add(sums, loss.item(), scores_N, part)
    if not sharding.is_sharded(setup.model):
        setup.processes.sum_gradients(optim.trainable(setup.model))
    sums = setup.processes.sum_figures(sums)
    norm = optimiser_step(
        [optimizer],
        learning_rate=learning_rate,
        max_grad_norm=setup.config.max_grad_norm,
        batch=partial(token_rows, elements, pad_id=setup.text.pad_id),
    )
    return {
        "reward/loss": sums["loss"] / total_weight,
        "reward/accuracy": sums["right"] / sums["pairs"],
        "reward/score_mean": sums["score"] / sums["responses"],
        "reward/learning_rate": learning_rate,
        "reward/gradient_norm": norm,
    }


def weighted_loss(scores_N: Tensor, elements: Sequence[Element], config: RewardConfig) -> tuple[Tensor, float]:
    """Σ weight · loss over the rankings of the elements, and Σ weight."""
    rankings = flat_rankings(elements)
    index_GK, ranks_GK = pad_rankings([(positions, ranks) for positions, ranks, _ in rankings])
    index_GK, ranks_GK = index_GK.to(scores_N.device), ranks_GK.to(scores_N.device)
    weight_G = torch.tensor([weight for _, _, weight in rankings], device=scores_N.device, dtype=scores_N.dtype)
    loss_G, _ = kwise_losses(scores_N, index_GK, ranks_GK, divisor=config.divisor)
    return (weight_G * loss_G).sum(), sum(weight for _, _, weight in rankings)


def measure(setup: Setup, elements: Sequence[Element]) -> dict[str, float]:
    """Loss and pair accuracy on a split."""
    scores = setup.scores(elements)
    flat_N = torch.tensor([score for values in scores for score in values], dtype=torch.float64)
    loss, total_weight = weighted_loss(flat_N, elements, setup.config)
    pairs = judged_pairs(elements, scores)
    return {
        "reward/valid_loss": loss.item() / total_weight,
        "reward/valid_accuracy": sum(pair.right for pair in pairs) / len(pairs),
    }


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


def _add(sums: dict[str, float], loss: float, scores_N: Tensor, elements: Sequence[Element]) -> None:
    flat = scores_N.tolist()
    sums["loss"] += loss
    sums["score"] += sum(flat)
    sums["responses"] += len(flat)
    for element in elements:
        values, flat = flat[: len(element.responses)], flat[len(element.responses) :]
        pairs = judged_pairs([element], [values])
        sums["right"] += sum(pair.right for pair in pairs)
        sums["pairs"] += len(pairs)


if __name__ == "__main__":
    raise SystemExit(run_stage("reward", main))
