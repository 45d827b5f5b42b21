"""What the policy of a PPO run is worth on the valid prompts, and the best of several answers for comparison."""

from collections.abc import Sequence

from training.contract.configs import PPOConfig
from training.engine import measure
from training.engine.device import Compute
from training.engine.experience import Models
from training.engine.measure import NamedPrompt
from training.engine.processes import Processes
from training.engine.rollout import SamplingRule

Figures = dict[str, float]


def policy(
    judges: Models,
    prompts: Sequence[NamedPrompt],
    processes: Processes,
    *,
    sampling: SamplingRule,
    config: PPOConfig,
    compute: Compute,
) -> Figures:
    """Its reward, KL and length on valid prompts, with the same luck each time; nothing when there are none."""
    if not prompts:
        return {}
    with compute.autocast():
        answers = measure.answer(
            judges.policy,
            processes.share(prompts),
            measure.Judges(reference=judges.reference, reward=judges.reward),
            rule=sampling,
            seed=config.seed,
            batch_size=config.batch_size,
        )
    return measure.summary(answers.whole(processes))


def best_of(
    judges: Models,
    prompts: Sequence[NamedPrompt],
    processes: Processes,
    *,
    sampling: SamplingRule,
    config: PPOConfig,
    compute: Compute,
) -> Figures:
    """What the best of several answers of the SFT model is worth on valid prompts; nothing unless it is asked for."""
    if not (prompts and config.best_of):
        return {}
    with compute.autocast():
        answers = measure.answer(
            judges.policy,
            processes.share(prompts),
            measure.Judges(reward=judges.reward),
            rule=sampling,
            seed=config.seed,
            batch_size=config.batch_size,
            num_samples=config.best_of,
        )
    best = processes.whole(measure.best_of(answers.rewards, config.best_of))
    return {"best_of_reward": sum(best) / len(best), "best_of_kl": measure.best_of_kl(config.best_of)}
