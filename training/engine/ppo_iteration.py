"""One PPO iteration in its three parts: sample, judge, learn. Each process does its share of the batch.

Shape legend: B episodes, R response positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.contract.configs import PPOConfig
from training.engine import device, experience, measure, scoring, sharding
from training.engine.decode_graphs import DecodeGraphs
from training.engine.learner import Learner
from training.engine.processes import Processes
from training.engine.rollout import Responses, SamplingRule, sample, together
from training.engine.schedule import Schedule, TextPieces, warmed_up
from training.engine.text import Text

Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What stays as it is from iteration to iteration, but for the weights of the models that learn."""

    config: PPOConfig
    compute: device.Compute
    text: Text
    train: Sequence[measure.NamedPrompt]
    valid: Sequence[measure.NamedPrompt]
    stream: Sequence[int]
    judges: experience.Models
    learner: Learner
    schedule: Schedule
    sampling: SamplingRule
    graphs: DecodeGraphs | None

    @property
    def processes(self) -> Processes:
        """The processes of this run."""
        return self.learner.processes


def sampled(setup: Setup, iteration: int) -> tuple[Responses, scoring.Episodes]:
    """The batch of all processes: its responses as they were sampled, and as right-padded rows with their prompts."""
    ids = [prompt.ids for prompt in setup.schedule.prompts(setup.train, iteration)]
    own = setup.schedule.rows(iteration)
    uniforms_BR = setup.schedule.uniforms(iteration, rows=own, num_draws=setup.config.max_new_tokens)
    with setup.compute.autocast(), sharding.gathered(setup.judges.policy):
        given = [ids[row] for row in own]
        found = sample(setup.judges.policy, given, uniforms_BR, rule=setup.sampling, graphs=setup.graphs)
    place: dict[str, Any] = {"pad_token_id": setup.text.pad_id, "device": setup.compute.device}
    responses = together(setup.processes.gather((own, found.to("cpu"))), **place)
    rows = [responses.row(index) for index in range(len(ids))]
    return responses, scoring.episodes(ids, rows, **place)


def judged(
    setup: Setup, responses: Responses, episodes: scoring.Episodes, plan: experience.Plan, *, kl_coef: float
) -> tuple[experience.Experience, Figures]:
    """The batch as all models see it, with its advantages, and how far two ways to the same numbers lie apart."""
    judges, processes = setup.judges, setup.processes
    with setup.compute.autocast():
        own = experience.judge(judges, episodes, plan, temperature=setup.config.temperature)
        padding_difference = experience.padding_difference(judges.reward, episodes, own, plan[0][0])
    judgement = experience.whole(own, processes)
    rule = reward_rule(setup.config, kl_coef)
    differences = {
        "ppo/sampler_difference": experience.sampler_difference(responses, judgement, episodes.mask_BR),
        "ppo/padding_difference": max(processes.gather(padding_difference)),
    }
    return experience.experience(judgement, episodes, responses.has_end_B, rule=rule), differences


def learned(setup: Setup, batch: experience.Experience, plans: Sequence[experience.Plan], iteration: int) -> Figures:
    """Every optimiser step of the iteration, and what it showed."""
    config = setup.config
    learning_rate = warmed_up(config.learning_rate, iteration, warmup_iterations=config.warmup_iterations)
    set_rates(setup.learner, policy=learning_rate, value=config.value_learning_rate)
    texts = setup.schedule.text(setup.stream, iteration, pieces=_pieces(config, setup.text, setup.compute))
    figures = setup.learner.learn(batch, plans, texts)
    return figures | {"ppo/learning_rate": learning_rate}


def reward_rule(config: PPOConfig, kl_coef: float) -> experience.RewardRule:
    """How scores become rewards in this iteration, given its β."""
    replaces = config.missing_end_rule == "replace"
    return experience.RewardRule(
        kl_coef=kl_coef,
        gae_lambda=config.gae_lambda,
        whiten_rewards=config.whiten_rewards,
        missing_end_rule=config.missing_end_rule,
        missing_end_amount=config.missing_end_score if replaces else config.missing_end_penalty,
    )


def set_rates(learner: Learner, *, policy: float, value: float) -> None:
    """The learning rates of the next optimiser steps."""
    for optimizer, rate in ((learner.policy_optimizer, policy), (learner.value_optimizer, value)):
        for group in optimizer.param_groups:
            group["lr"] = rate


def _pieces(config: PPOConfig, text: Text, compute: device.Compute) -> TextPieces:
    return TextPieces(
        num_pieces=config.minibatch_size * config.ptx_examples_per_episode,
        num_tokens=config.ptx_sequence_tokens,
        pad_token_id=text.pad_id,
        device=compute.device,
    )
