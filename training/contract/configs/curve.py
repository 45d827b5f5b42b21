"""Config of the stage that draws how accurate a reward model gets per number of rankings."""

from dataclasses import dataclass

from training.contract.configs.fields import option, path
from training.contract.configs.reward import RewardLearning


@dataclass(frozen=True, kw_only=True)
class CurveConfig(RewardLearning):
    """Curve: how accurate a reward model gets per number of rankings, of chosen prompts and of a random control."""

    chosen: str = path(
        "snapshot:reward",
        "Rankings of prompts that were chosen, by uncertainty or otherwise. Only its train split is used.",
        required=True,
    )
    control: str = path(
        "snapshot:reward",
        "Rankings of prompts drawn at random. Its train split trains; its other splits are what every model is"
        " measured on.",
        required=True,
    )
    num_points: int = option(
        4,
        "Points of the curve: the most rankings that both have, half of them, a quarter, and so on.",
        group="limits",
        min=1,
        max=12,
    )
    num_seeds: int = option(
        3,
        "How often each point is trained, each time on other prompts and from another head. More make the intervals"
        " narrower.",
        group="limits",
        min=2,
        max=100,
    )
    bootstrap_samples: int = option(
        1000,
        "Resamples of prompts and seeds behind each confidence interval.",
        group="limits",
        min=100,
        max=100_000,
    )
