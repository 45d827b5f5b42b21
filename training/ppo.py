"""PPO and PPO-ptx: the policy learns to please the reward model (InstructGPT, arXiv 2203.02155, section 3.5).

    python -m training.ppo --config ppo.json --run-dir runs/ppo-1

One iteration samples a batch of responses, judges them by policy, reference, value and reward model, and learns from
them once. Each implementation detail and its source: docs/ppo-details.md. Each metric: docs/metrics.md.
"""

import copy
import itertools
import resource
import time
from collections.abc import Sequence
from typing import Any

import torch

from training.cli import Result, run_stage
from training.contract.configs import ConfigError, PPOConfig
from training.contract.records import PromptRow
from training.contract.rundir import RunDir
from training.engine import (
    adapters,
    data,
    decode_graphs,
    device,
    experience,
    measure,
    models,
    packing,
    ppo_iteration,
    ppo_progress,
    ppo_worth,
    scoring,
    sharding,
)
from training.engine.batches import Cuts
from training.engine.checkpoints import Checkpoints
from training.engine.corpus import snapshot_stream
from training.engine.learner import Learner, LearningRule, update_average
from training.engine.optim import adamw, trainable
from training.engine.processes import Processes
from training.engine.rollout import SamplingRule
from training.engine.runlog import Cancelled, RunLog
from training.engine.schedule import Alarm, Schedule
from training.engine.text import Text, load_text

Figures = dict[str, float]


def main(config: PPOConfig, run_dir: RunDir, log: RunLog) -> Result:
    """The whole stage, top to bottom."""
    # 1. Where to compute, and every source of chance.
    compute = device.choose(config)
    models.check_kernels(config, compute.device)
    processes = Processes.join(compute)
    _check_sharding(config, processes)
    _check_shares(config, processes)
    device.seed_everything(config.seed)

    # 2. Prompts (train and valid), and pretraining text when γ is above 0.
    text = _shared_text(config)
    prompts = data.read_prompts(config.prompts)
    train, valid = _train_and_valid(prompts.rows, text, config, log)
    stream, text_sha256 = _text_stream(config, text)

    # 3. Four models: the policy and its frozen reference, the reward model and a value function made of it.
    judges = _judges(config, text, compute, processes, log)
    policy = judges.policy
    average = _average(policy, config)

    # 4. What learns, in which order things come, how responses are sampled.
    learner = _learner(config, judges, compute, processes)
    setup = ppo_iteration.Setup(
        config=config,
        compute=compute,
        text=text,
        train=train,
        valid=valid,
        stream=stream,
        judges=judges,
        learner=learner,
        schedule=_schedule(config, processes),
        sampling=_sampling(config, text),
        graphs=decode_graphs.where_possible(policy, compute.device, say=log.say),
    )
    num_iterations = config.num_episodes // config.batch_size
    log.plan(num_iterations)

    # 5. Go on from the latest checkpoint, or measure where we start.
    checkpoints = Checkpoints(run_dir.checkpoints, say=log.say, processes=processes)
    processes.seed(config.seed)
    progress = _begun(setup, average, checkpoints, log)

    # 6. The loop.
    log.phase("train")
    while progress.iteration < num_iterations and not progress.is_stopped:
        iteration, times = progress.iteration, [time.monotonic()]

        # 6a. Sample: left-padded prompts, each row with its own random numbers. Each process samples its own rows.
        responses, episodes = ppo_iteration.sampled(setup, iteration)
        times.append(time.monotonic())

        # 6b. Judge: right-padded rows, grouped as the first learning pass will group them; then advantages.
        plans = setup.schedule.plans(iteration)
        batch, differences = ppo_iteration.judged(setup, responses, episodes, plans[0], kl_coef=progress.kl_coef)
        times.append(time.monotonic())

        # 6c. Learn: one optimiser step per minibatch, with the pretraining gradient when γ is above 0.
        figures = batch.figures | differences | ppo_iteration.learned(setup, batch, plans, iteration)
        update_average(average, trainable(policy), decay=config.ema_decay)
        times.append(time.monotonic())

        # 6d. Sound the alarm, log, steer β.
        ppo_progress.watch(progress, figures, config, log)
        figures |= {
            "ppo/kl_coef": progress.kl_coef,
            "ppo/alarm": float(progress.alarm.is_ringing),
            "ppo/episodes": float(progress.iteration * config.batch_size),
        }
        log.metrics(progress.iteration, figures | _speed(times, episodes))
        progress.kl_coef = ppo_progress.steered(progress.kl_coef, figures["ppo/kl"], config)

        # 6e. Keep a checkpoint when it is time; stop when asked.
        is_last = progress.is_stopped or progress.iteration == num_iterations
        is_cancelled = processes.any(log.cancel_asked)
        if is_cancelled or is_last or progress.iteration % config.checkpoint_every == 0:
            checkpoints.save(progress.iteration, ppo_progress.state(learner, average, progress))
        log.step_done(progress.iteration)
        if is_cancelled and not is_last:
            raise Cancelled

    # 7. Publish the moving average of the weights, and measure what it is worth.
    log.phase("publish")
    ppo_progress.copy_weights(average, trainable(policy))
    after = ppo_worth.policy(setup)
    adapters.merge(policy)
    published = _plain(policy, config, text)
    if processes.is_main:
        models.save_model(published, text, run_dir.outputs / "model")
    log.say(f"valid prompts before {progress.before} and after {after}")
    return Result(
        summary=_summary(progress, after, config),
        inputs={"prompts": prompts.manifest.sha256, "pretraining_text": text_sha256},
    )


def _check_sharding(config: PPOConfig, processes: Processes) -> None:
    """Adapters make the reference of the policy itself, switched off: FSDP would have to know when."""
    if config.lora_rank and sharding.will_shard(processes):
        raise ConfigError("lora_rank", "must be 0 under FSDP for PPO; start it without --use_fsdp")


def _check_shares(config: PPOConfig, processes: Processes) -> None:
    """Every process has rows of every minibatch; one without would wait for the others."""
    if config.minibatch_size % processes.count:
        raise ConfigError("minibatch_size", f"must be a multiple of the {processes.count} processes")
    if config.ptx_coef and config.minibatch_size * config.ptx_examples_per_episode < processes.count:
        raise ConfigError("ptx_examples_per_episode", f"leaves some of the {processes.count} processes without text")


def _shared_text(config: PPOConfig) -> Text:
    """The policy's tokenizer. Token ids go to the reward model as they are, so it must have the same one."""
    text, other = load_text(config.policy_model), load_text(config.reward_model)
    if text.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        raise ConfigError("reward_model", "has another tokenizer than the policy; train it from a model of that family")
    return text


def _train_and_valid(
    rows: Sequence[PromptRow], text: Text, config: PPOConfig, log: RunLog
) -> tuple[list[measure.NamedPrompt], list[measure.NamedPrompt]]:
    cuts = Cuts()
    train, valid = (
        [
            measure.NamedPrompt(name=row.prompt_id, ids=cuts.prompt(text, row.prompt, config.max_prompt_tokens))
            for row in rows
            if row.split == split
        ]
        for split in ("train", "valid")
    )
    if not train:
        raise ConfigError("prompts", "has no prompt in its train split")
    valid = valid[: config.num_valid_prompts]
    log.say(f"{len(train)} prompts to train on, {len(valid)} to measure on; {cuts.prompts} lost their beginning")
    return train, valid


def _text_stream(config: PPOConfig, text: Text) -> tuple[list[int], str]:
    """All training text as one token stream, each text closed by the end token, and the snapshot's hash."""
    if not config.ptx_coef:
        return [], ""
    snapshot = data.read_text(config.pretraining_text)
    stream = snapshot_stream(snapshot.rows, text)
    if len(stream) <= config.ptx_sequence_tokens:
        raise ConfigError("pretraining_text", f"has {len(stream)} tokens in its train split, less than one piece")
    return stream, snapshot.manifest.sha256


def _load_models(config: PPOConfig, text: Text, place: Any) -> tuple[Any, Any]:
    """Policy and reward model on a device, both without dropout (loaded in eval mode and left there)."""
    policy = models.load_policy(config.policy_model, text).to(place)
    reward = models.load_reward(config.reward_model, text).to(place)
    scoring.check_unembedding(policy)
    for model in (policy, reward):
        models.set_residual_dropout(model, 0.0)
        models.check_lengths(
            model, max_prompt_tokens=config.max_prompt_tokens, max_response_tokens=config.max_new_tokens
        )
    if config.ptx_coef:
        models.check_text_length(policy, "ptx_sequence_tokens", config.ptx_sequence_tokens)
    return policy, reward


def _judges(
    config: PPOConfig, text: Text, compute: device.Compute, processes: Processes, log: RunLog
) -> experience.Models:
    """The four models where they compute, spread over the processes where the launcher asks for it."""
    policy, reward = _load_models(config, text, "cpu" if sharding.will_shard(processes) else compute.device)
    for name, model in (("policy", policy), ("reward model", reward)):
        log.say(f"{name}: " + packing.enable_where_possible(model, wanted=config.packing))
    judges = _twins(config, policy, reward)
    if sharding.will_shard(processes):
        for model in (judges.policy, judges.value, judges.reference, judges.reward):
            sharding.place(model, compute, processes)
    elif not config.lora_rank:
        for model in (judges.reference, judges.reward):
            models.store_as_computed(model, compute)
    where = f"{compute.device}, {processes}" + (", sharded by FSDP" if sharding.is_sharded(policy) else "")
    log.say(f"policy: {models.describe(policy)}; value: {models.describe(judges.value)}; on {where}")
    return judges


def _twins(config: PPOConfig, policy: Any, reward: Any) -> experience.Models:
    """Four models of their own; with adapters two, whose frozen twins are themselves without the adapters."""
    if config.lora_rank:
        for model in (policy, reward):
            models.prepare_training(model, config)
        return experience.Models(
            policy=policy,
            reference=adapters.WithoutAdapters(policy),
            value=reward,
            reward=adapters.WithoutAdapters(reward),
        )
    reference, value = copy.deepcopy(policy).requires_grad_(False), copy.deepcopy(reward)
    for model in (policy, value):
        models.prepare_training(model, config)
    return experience.Models(policy=policy, reference=reference, value=value, reward=reward.requires_grad_(False))


def _average(policy: Any, config: PPOConfig) -> list[torch.Tensor]:
    """The moving average of the weights: with a decay of 0 it is the weights, of which no copy is needed."""
    weights = [parameter.detach() for parameter in trainable(policy)]
    return [weight.clone() for weight in weights] if config.ema_decay else weights


def _begun(
    setup: ppo_iteration.Setup, average: Sequence[torch.Tensor], checkpoints: Checkpoints, log: RunLog
) -> ppo_progress.Progress:
    """How far an earlier start came; else what the policy is worth before it learns."""
    found = checkpoints.load_latest()
    if found is not None:
        progress = ppo_progress.restore(found[1], setup.learner, average, setup.config)
        log.resume(progress.iteration)
        return progress
    log.resume(0)
    return ppo_progress.Progress(
        kl_coef=setup.config.kl_coef,
        alarm=Alarm(kl_budget=setup.config.kl_budget),
        before=ppo_worth.policy(setup),
        best_of=ppo_worth.best_of(setup),
    )


def _plain(policy: Any, config: PPOConfig, text: Text) -> Any:
    """The policy as one model: a sharded one is put together on the host."""
    if not sharding.is_sharded(policy):
        return policy
    plain = models.load_policy(config.policy_model, text)
    plain.load_state_dict(sharding.whole(policy.state_dict()))
    return plain


def _learner(config: PPOConfig, judges: experience.Models, compute: device.Compute, processes: Processes) -> Learner:
    return Learner(
        policy=judges.policy,
        value=judges.value,
        policy_optimizer=adamw(judges.policy, config),
        value_optimizer=adamw(judges.value, config),
        rule=LearningRule(
            clip_range=config.clip_range,
            value_clip_range=config.value_clip_range,
            value_coef=config.value_coef,
            ptx_coef=config.ptx_coef,
            ptx_micro_batch_size=config.micro_batch_size,
            max_grad_norm=config.max_grad_norm,
            temperature=config.temperature,
        ),
        autocast=compute.autocast,
        processes=processes,
    )


def _schedule(config: PPOConfig, processes: Processes) -> Schedule:
    return Schedule(
        seed=config.seed,
        batch_size=config.batch_size,
        minibatch_size=config.minibatch_size,
        micro_batch_size=config.micro_batch_size,
        num_inner_epochs=config.num_inner_epochs,
        process=processes.index,
        num_processes=processes.count,
    )


def _sampling(config: PPOConfig, text: Text) -> SamplingRule:
    return SamplingRule(
        end_token_id=text.end_id,
        pad_token_id=text.pad_id,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
    )


def _speed(times: Sequence[float], episodes: scoring.Episodes) -> Figures:
    """`perf/*`: where the time went. The only figures that differ between two runs of one config."""
    seconds = [later - earlier for earlier, later in itertools.pairwise(times)]
    total = max(sum(seconds), 1e-9)
    return {
        "perf/step_s": total,
        "perf/generate_s": seconds[0],
        "perf/score_s": seconds[1],
        "perf/learn_s": seconds[2],
        "perf/episodes_per_s": len(episodes) / total,
        "perf/tokens_per_s": int(episodes.mask_BR.sum()) / total,
        "perf/memory_mib": _peak_memory_mib(),
    }


def _peak_memory_mib() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _summary(progress: ppo_progress.Progress, after: Figures, config: PPOConfig) -> dict[str, Any]:
    return {
        "num_iterations": progress.iteration,
        "num_episodes": progress.iteration * config.batch_size,
        "stopped_at_kl_budget": progress.is_stopped,
        "over_optimisation_alarm": progress.alarm.is_ringing,
        "published_weights": "moving average",
        **{f"valid_{name}": value for name, value in progress.best_of.items()},
        **{f"valid_{name}_before": value for name, value in progress.before.items()},
        **{f"valid_{name}_after": value for name, value in after.items()},
    }


if __name__ == "__main__":
    raise SystemExit(run_stage("ppo", main))
