"""How far a PPO run has come: what a checkpoint keeps, the alarm and the KL budget, and β.

The order of prompts, random numbers and text follows from the iteration (`training.engine.schedule`), so the iteration
is all that has to be kept of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from training.contract.configs import PPOConfig
from training.engine import adapters, advantages, sharding
from training.engine.learner import Learner
from training.engine.runlog import RunLog
from training.engine.schedule import Alarm

Figures = dict[str, float]


@dataclass(kw_only=True)
class Progress:
    """What changes from iteration to iteration besides the weights."""

    kl_coef: float
    alarm: Alarm
    iteration: int = 0
    is_stopped: bool = False
    before: Figures = field(default_factory=dict)
    best_of: Figures = field(default_factory=dict)


def watch(progress: Progress, figures: Figures, config: PPOConfig, log: RunLog) -> None:
    """Count the iteration, and tell people once when the alarm begins to ring or the KL budget ends the run."""
    was_ringing = progress.alarm.is_ringing
    progress.alarm.update(reward=figures["ppo/reward"], kl=figures["ppo/kl"])
    progress.iteration += 1
    progress.is_stopped = config.stop_at_kl_budget and progress.alarm.over_budget
    if progress.alarm.is_ringing and not was_ringing:
        log.say(
            f"over-optimisation alarm at iteration {progress.iteration}: the reward still rises, but the KL is past"
            f" its budget of {config.kl_budget:g} nats; look at responses before you trust this reward"
        )
    if progress.is_stopped:
        log.say(f"stopped at iteration {progress.iteration}: the KL is past its budget of {config.kl_budget:g} nats")


def steered(kl_coef: float, kl: float, config: PPOConfig) -> float:
    """β of the next iteration, given the mean KL of a response in this one (nats)."""
    if config.kl_control == "fixed":
        return kl_coef
    return advantages.adapted_kl_coef(
        kl_coef, kl=kl, target=config.kl_target, horizon=config.kl_horizon, num_episodes=config.batch_size
    )


def state(learner: Learner, average: Sequence[Tensor], progress: Progress) -> dict[str, Any]:
    """Everything that a resumed run needs; the order of prompts and text follows from the iteration."""
    weights = {
        "policy": adapters.state(learner.policy),
        "value": adapters.state(learner.value),
        "policy_optimizer": learner.policy_optimizer.state_dict(),
        "value_optimizer": learner.value_optimizer.state_dict(),
        "average": list(average),
    }
    return {
        **sharding.whole(weights),
        "rng": learner.processes.rng_state(),
        "kl_coef": progress.kl_coef,
        "iteration": progress.iteration,
        "is_stopped": progress.is_stopped,
        "before": progress.before,
        "best_of": progress.best_of,
        "rewards": progress.alarm.rewards,
        "kls": progress.alarm.kls,
    }


def restore(saved: Mapping[str, Any], learner: Learner, average: Sequence[Tensor], config: PPOConfig) -> Progress:
    """Undo everything since that state; returns how far it had come."""
    sharding.load_state(learner.policy, saved["policy"])
    sharding.load_state(learner.value, saved["value"])
    sharding.load_optimizer(learner.policy_optimizer, saved["policy_optimizer"])
    sharding.load_optimizer(learner.value_optimizer, saved["value_optimizer"])
    copy_weights(saved["average"], average)
    learner.processes.restore_rng_state(saved["rng"], seed=config.seed)
    return Progress(
        kl_coef=saved["kl_coef"],
        alarm=Alarm(kl_budget=config.kl_budget, rewards=saved["rewards"], kls=saved["kls"]),
        iteration=saved["iteration"],
        is_stopped=saved["is_stopped"],
        before=saved["before"],
        best_of=saved["best_of"],
    )


@torch.no_grad()
def copy_weights(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    """Fill the target's tensors with the source's."""
    for old, new in zip(target, source, strict=True):
        old.copy_(sharding.part(new, like=old))
