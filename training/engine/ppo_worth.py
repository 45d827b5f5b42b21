"""What the policy of a PPO run is worth on the valid prompts, and the best of several answers for comparison."""

from training.engine import measure
from training.engine.ppo_iteration import Setup

Figures = dict[str, float]


def policy(setup: Setup) -> Figures:
    """Its reward, KL and length on valid prompts, with the same luck each time; nothing when there are none."""
    if not setup.valid:
        return {}
    judges = measure.Judges(reference=setup.judges.reference, reward=setup.judges.reward)
    return measure.summary(_answers(setup, judges).whole(setup.processes))


def best_of(setup: Setup) -> Figures:
    """What the best of several answers of the SFT model is worth on valid prompts; nothing unless it is asked for."""
    num_samples = setup.config.best_of
    if not (setup.valid and num_samples):
        return {}
    answers = _answers(setup, measure.Judges(reward=setup.judges.reward), num_samples=num_samples)
    best = setup.processes.whole(measure.best_of(answers.rewards, num_samples))
    return {"best_of_reward": sum(best) / len(best), "best_of_kl": measure.best_of_kl(num_samples)}


def _answers(setup: Setup, judges: measure.Judges, *, num_samples: int = 1) -> measure.Answers:
    """The policy's answers to this process's share of the valid prompts."""
    with setup.compute.autocast():
        return measure.answer(
            setup.judges.policy,
            setup.processes.share(setup.valid),
            judges,
            rule=setup.sampling,
            seed=setup.config.seed,
            batch_size=setup.config.batch_size,
            num_samples=num_samples,
            processes=setup.processes,
            graphs=setup.graphs,
        )
