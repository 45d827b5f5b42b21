"""Config of the stage in which reward models score responses."""

from dataclasses import dataclass

from training.contract.configs.fields import ConfigError, option, path
from training.contract.configs.stage import StageConfig

#: In the order in which a form shows them: the first must be given.
REWARD_MODELS = ("reward_model", "reward_model_2", "reward_model_3", "reward_model_4", "reward_model_5")
ANOTHER = "Another reward model: several show on what they disagree."


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(StageConfig):
    """Score: what one reward model, or several, say of responses; by it prompts are chosen to be ranked."""

    reward_model: str = path("reward_model", "The reward model that scores.", group="model", required=True)
    reward_model_2: str = path("reward_model", ANOTHER, group="model")
    reward_model_3: str = path("reward_model", ANOTHER, group="model")
    reward_model_4: str = path("reward_model", ANOTHER, group="model")
    reward_model_5: str = path("reward_model", ANOTHER, group="model")
    responses: str = path("snapshot:responses", "Prompts with the responses to score.", required=True)

    split: str = option(
        "all", "Of which prompts of the snapshot.", group="data", choices=("all", "train", "valid", "test")
    )
    max_prompt_tokens: int = option(
        256,
        "Longer prompts lose their beginning; how many is counted and logged.",
        group="data",
        min=8,
        max=32_768,
        unit="tokens",
    )
    max_response_tokens: int = option(
        256,
        "Longer responses lose their end; how many is counted and logged. Give the numbers that the reward models were"
        " trained with.",
        group="data",
        min=8,
        max=32_768,
        unit="tokens",
    )
    batch_size: int = option(64, "Prompts between two steps of progress.", group="limits", min=1, max=4096)
    max_forward_tokens: int = option(
        1024,
        "At most so many tokens per forward pass; a prompt that has more with its responses goes alone.",
        group="limits",
        min=64,
        max=4_194_304,
        unit="tokens",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in REWARD_MODELS if getattr(self, name)]
        folders = [getattr(self, name) for name in given]
        for place, name in enumerate(given):
            if folders.index(folders[place]) < place:
                raise ConfigError(name, "is the same as another one")
