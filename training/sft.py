"""SFT: a language model learns to answer as the demonstrations do.

    python -m training.sft --config FILE --run-dir DIR

With `init_model` "tiny" a small byte-level model is built and pretrained first, in the same run (phase "pretrain").
The loss is on the responses alone (and on all of the pretraining text that is mixed in). Of the measured checkpoints
the best is published: by reward-model score on validation prompts when a reward model is given (InstructGPT, section
3.5), else by validation loss; `outputs/report.json` says which.

Metrics: `pretrain/loss`, `sft/loss`, `sft/valid_loss` in nats per token · `sft/text_loss` and `sft/text_share` of the
pretraining text that is mixed in · `sft/valid_reward` mean score of sampled answers · `*/learning_rate` ·
`*/gradient_norm` before clipping · `sft/epoch` · `perf/*` the only ones that differ between equal runs.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from training.cli import Result, run_stage
from training.contract.configs import ConfigError, SFTConfig
from training.contract.rundir import RunDir, write_json
from training.engine import adapters, models, packing, sharding
from training.engine.batches import Example
from training.engine.checkpoints import Checkpoints
from training.engine.demonstrations import Material, Plan, read_material
from training.engine.device import Compute, choose, seed_everything
from training.engine.measure import Judges, answer
from training.engine.optim import adamw, check_finite, muon_and_adamw, optimiser_step, trainable
from training.engine.processes import Processes
from training.engine.rollout import SamplingRule
from training.engine.runlog import Cancelled, RunLog, throughput
from training.engine.scoring import Episodes, episodes, response_logprobs
from training.engine.text import Text, byte_text, load_text

Optimizers = Sequence[torch.optim.Optimizer]


def main(config: SFTConfig, run_dir: RunDir, log: RunLog) -> Result:
    """One run, from the config to the published model."""
    # 1. The model, in fp32, and where to compute
    compute = choose(config)
    models.check_kernels(config, compute.device)
    refuse_sharding(config)
    processes = Processes.join(compute)
    seed_everything(config.seed)
    text, model = load_model(config)
    models.prepare_training(model, config)
    packing_said = packing.enable_where_possible(model, wanted=config.packing)
    model = sharding.place(model, compute, processes)
    setup = Setup(config=config, compute=compute, processes=processes, text=text, model=model)
    layout = ", sharded by FSDP" if sharding.is_sharded(model) else ""
    log.say(f"{models.describe(model)} on {compute.device}, {processes}{layout}")
    log.say(packing_said)

    # 2. What it learns from, and what measures it
    material = read_material(config, text, log.say)
    judge = load_judge(setup, material)
    judge_name = judge.name if judge else "nothing: the last step is published, there is nothing to measure on"

    # 3. How many steps that is
    plan = Plan.of(config, material, is_measured=judge is not None)
    log.plan(plan.num_steps)
    log.say(f"{plan.pretrain_steps} steps of pretraining, {plan.sft_steps} of SFT; selection by {judge_name}")

    # 4. Go on where a killed run stopped
    checkpoints = Checkpoints(run_dir.checkpoints, say=log.say, processes=processes)
    processes.seed(config.seed)
    done, best, optimizers = resume(setup, plan, checkpoints, log)

    # 5. Learn
    models.set_residual_dropout(model, config.dropout)
    for step in range(done, plan.num_steps):
        started = time.monotonic()
        is_pretraining = step < plan.pretrain_steps
        name = "pretrain" if is_pretraining else "sft"
        log.phase(name)
        if step == plan.pretrain_steps:
            optimizers = [adamw(model, config)]
        examples = plan.examples(config, material, step)
        values, num_tokens = learn(setup, optimizers, examples, learning_rate=plan.rate(config, step), name=name)
        if not is_pretraining:
            values["sft/epoch"] = (step - plan.pretrain_steps + 1) / plan.steps_per_epoch
        is_better = False
        if judge and plan.is_measured(step):
            figure = judge.measure(setup, material)
            values |= {judge.metric: figure}
            is_better = best is None or judge.is_better(figure, best[1])
            best = (step + 1, figure) if is_better else best
        log.metrics(step + 1, values | throughput(num_tokens, started))

        # 6. Keep what a resumed run needs
        is_due = (step + 1) % config.checkpoint_every == 0 or step + 1 == plan.num_steps
        is_cancelled = processes.any(log.cancel_asked)
        if is_better or is_due or is_cancelled:
            optimizer_states = [sharding.whole(optimizer.state_dict()) for optimizer in optimizers]
            weights, chance = sharding.whole(adapters.state(model)), processes.rng_state()
            state = {"model": weights, "optimizers": optimizer_states, "rng": chance, "best": best}
            checkpoints.save(step + 1, state, best=best)
        log.step_done(step + 1)
        if is_cancelled:
            raise Cancelled

    # 7. Publish the best measured weights
    log.phase("publish")
    chosen = best[0] if best else plan.num_steps
    if sharding.is_sharded(model):  # what is published is put together on the host
        model = load_model(config)[1]
        models.prepare_training(model, config)
    adapters.load_state(model, checkpoints.load(chosen)["model"])
    adapters.merge(model)
    models.set_residual_dropout(model, 0.0)
    report = {
        "selected_by": judge_name,
        "selected_step": chosen,
        "selected_value": best[1] if best else None,
        "num_parameters": models.num_parameters(model),
        "num_demonstrations": len(material.train),
        "num_validation_demonstrations": len(material.valid),
        "num_cut_prompts": material.cuts.prompts,
        "num_cut_responses": material.cuts.responses,
    }
    if processes.is_main:
        models.save_model(model, text, run_dir.outputs / "model")
        write_json(run_dir.outputs / "report.json", report)
    log.say(f"published step {chosen}, selected by {judge_name}")
    return Result(summary=report, inputs=material.hashes)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The model and what goes with it."""

    config: SFTConfig
    compute: Compute
    processes: Processes
    text: Text
    model: Any

    def episodes(self, examples: list[Example]) -> Episodes:
        """Right-padded rows on the model's device."""
        prompts, responses = [example.prompt for example in examples], [example.response for example in examples]
        return episodes(prompts, responses, pad_token_id=self.text.pad_id, device=self.compute.device)

    def logprobs(self, examples: list[Example]) -> Tensor:
        """log π of every response token, [B, R], zero outside the responses."""

        def compute() -> Tensor:
            with self.compute.autocast():
                return response_logprobs(self.model, self.episodes(examples), temperature=1.0)

        return sharding.within(self.model, compute)

    def shared_packs(self, examples: Sequence[Example]) -> list[tuple[list[Example], float]]:
        """This process's share of the examples, alike in length in each forward pass, and the factor of each loss."""
        own = self.processes.share(examples)
        found = packing.packs(
            [len(example.prompt) + len(example.response) for example in own],
            is_packed=packing.is_enabled(self.model),
            max_rows=self.config.micro_batch_size,
            max_tokens=self.config.max_forward_tokens,
        )
        packs = [[own[index] for index in pack] for pack in found]
        return sharding.evened(self.model, packs, self.processes, spare=[examples[0]])


def refuse_sharding(config: SFTConfig) -> None:
    """Raises ConfigError where FSDP is asked for and the processes would not compute in step."""
    if config.init_model == "tiny":
        sharding.refuse("a tiny model")


def load_model(config: SFTConfig) -> tuple[Text, Any]:
    """The tokenizer and the model to start from."""
    if config.init_model == "tiny":
        text = byte_text()
        shape = {"num_layers": config.tiny_layers, "width": config.tiny_width, "num_heads": config.tiny_heads}
        return text, models.build_tiny(text, context=config.tiny_context, seed=config.seed, **shape)
    text = load_text(config.init_model)
    model = models.load_policy(config.init_model, text)
    models.check_lengths(
        model, max_prompt_tokens=config.max_prompt_tokens, max_response_tokens=config.max_response_tokens
    )
    if config.pretraining_fraction:
        models.check_text_length(model, "pretrain_sequence_tokens", config.pretrain_sequence_tokens)
    return text, model


def load_judge(setup: Setup, material: Material) -> "RewardJudge | LossJudge | None":
    """What selects the checkpoint; None when there is nothing to measure on."""
    path = setup.config.reward_model
    if not path:
        return LossJudge() if material.valid else None
    if load_text(path).tokenizer.get_vocab() != setup.text.tokenizer.get_vocab():
        raise ConfigError("reward_model", "has another vocabulary than the model that is trained")
    return RewardJudge(models.load_reward(path, setup.text).to(setup.compute.device))


def learn(
    setup: Setup, optimizers: Optimizers, examples: list[Example], *, learning_rate: float, name: str
) -> tuple[dict[str, float], int]:
    """One optimiser step: the mean loss over the batch's response tokens. Returns metrics and tokens read."""
    setup.model.train()
    num_targets = sum(len(example.response) for example in examples)
    num_text_targets = sum(len(example.response) for example in examples if example.is_text)
    total = text_total = 0.0
    for part, factor in setup.shared_packs(examples):
        logprobs_BR = setup.logprobs(part)
        part_loss = -logprobs_BR.sum() / num_targets
        check_finite(f"{name}/loss", part_loss.item(), partial(token_rows, part, text=setup.text))
        (part_loss * factor).backward()  # type: ignore[no-untyped-call]
        if factor:
            total += part_loss.item()
            text_total -= logprobs_BR.detach()[[example.is_text for example in part]].sum().item()
    if not sharding.is_sharded(setup.model):
        setup.processes.sum_gradients(trainable(setup.model))
    norm = optimiser_step(
        optimizers,
        learning_rate=learning_rate,
        max_grad_norm=setup.config.max_grad_norm,
        batch=partial(token_rows, examples, text=setup.text),
    )
    values = {
        f"{name}/loss": setup.processes.sum(total),
        f"{name}/learning_rate": learning_rate,
        f"{name}/gradient_norm": norm,
    }
    if 0 < num_text_targets < num_targets:
        values["sft/text_loss"] = setup.processes.sum(text_total) / num_text_targets
        values["sft/text_share"] = num_text_targets / num_targets
    return values, sum(len(example.prompt) + len(example.response) for example in examples)


def token_rows(examples: list[Example], *, text: Text) -> dict[str, Tensor]:
    """The token ids of a batch, to be kept when it has to be looked at."""
    prompts, responses = [example.prompt for example in examples], [example.response for example in examples]
    return {"input_ids": episodes(prompts, responses, pad_token_id=text.pad_id).input_ids_BT}


class LossJudge:
    """Selects by the loss on the validation demonstrations; by the last step when there are none."""

    metric = "sft/valid_loss"
    name = "validation loss"

    @staticmethod
    def is_better(new: float, old: float) -> bool:
        """Lower is better."""
        return new < old

    @torch.no_grad()
    def measure(self, setup: Setup, material: Material) -> float:
        """Mean loss in nats per response token of the validation demonstrations."""
        setup.model.eval()
        total = 0.0
        for part, factor in setup.shared_packs(material.valid):
            found = float(setup.logprobs(part).double().sum())
            total -= found if factor else 0.0
        return setup.processes.sum(total) / sum(len(example.response) for example in material.valid)


class RewardJudge:
    """Selects by the mean reward of answers sampled for the validation prompts, with the same luck each time."""

    metric = "sft/valid_reward"
    name = "reward-model score on validation prompts"

    def __init__(self, reward: Any) -> None:
        self.reward = reward

    @staticmethod
    def is_better(new: float, old: float) -> bool:
        """Higher is better."""
        return new > old

    def measure(self, setup: Setup, material: Material) -> float:
        """Mean score of one answer per prompt at temperature 1."""
        setup.model.eval()
        config, text = setup.config, setup.text
        rule = SamplingRule(
            end_token_id=text.end_id, pad_token_id=text.pad_id, max_new_tokens=config.max_response_tokens
        )
        with setup.compute.autocast():
            answers = answer(
                setup.model,
                setup.processes.share(material.prompts),
                Judges(reward=self.reward),
                rule=rule,
                seed=config.seed,
                batch_size=config.micro_batch_size,
                processes=setup.processes,
            )
        rewards = setup.processes.whole(answers.rewards)
        return sum(rewards) / len(rewards)


def resume(
    setup: Setup, plan: Plan, checkpoints: Checkpoints, log: RunLog
) -> tuple[int, tuple[int, float] | None, Optimizers]:
    """Restore the latest good checkpoint: (steps done, best so far, the optimisers of the phase)."""
    step, state = checkpoints.load_latest() or (0, None)
    is_pretraining = step < plan.pretrain_steps or (state is not None and step == plan.pretrain_steps)
    make = muon_and_adamw if is_pretraining else lambda model, config: [adamw(model, config)]
    optimizers = make(setup.model, setup.config)
    log.resume(step)
    if state is None:
        return 0, None, optimizers
    sharding.load_state(setup.model, state["model"])
    for optimizer, values in zip(optimizers, state["optimizers"], strict=True):
        sharding.load_optimizer(optimizer, values)
    setup.processes.restore_rng_state(state["rng"], seed=setup.config.seed)
    return step, tuple(state["best"]) if state["best"] else None, optimizers


if __name__ == "__main__":
    raise SystemExit(run_stage("sft", main))
