"""Config of the stage that answers people in the playground. It stands beside the loop: no preset, no round."""

from dataclasses import dataclass

from training.contract.configs.fields import ConfigError, option, path
from training.contract.configs.stage import StageConfig


@dataclass(frozen=True, kw_only=True)
class TalkConfig(StageConfig):
    """Talk: one model or two that answer what is asked of them, until nobody asks any more."""

    first_model: str = path("policy_model", "The model that answers.", group="model", required=True)
    second_model: str = path("policy_model", "Another one, that answers the same.", group="model")
    reward_model: str = path("reward_model", "Scores every answer.", group="model")
    idle_seconds: int = option(
        600, "End after so long without a question.", group="limits", min=1, max=86_400, unit="seconds"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.second_model and self.second_model == self.first_model:
            raise ConfigError("second_model", "must be another one than the first")
