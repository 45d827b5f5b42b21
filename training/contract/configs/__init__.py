"""The stages' configs: frozen dataclasses that check themselves, presets, and the JSON file that holds one.

config = load("sft", path)            # ConfigError names the field
values = preset("sft", "tiny-cpu")    # what a form starts from; paths are left to the launcher
for spec in specs(STAGES["sft"]):     # what a form is made of
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from training.contract.configs.curve import CurveConfig
from training.contract.configs.fetch import FetchConfig
from training.contract.configs.fields import (
    GROUPS,
    INPUTS,
    ConfigError,
    FieldSpec,
    check_value,
    known_values,
    option,
    path,
    specs,
)
from training.contract.configs.ppo import PPOConfig
from training.contract.configs.presets import OVERRIDES, PRESETS
from training.contract.configs.reward import RewardConfig, RewardLearning
from training.contract.configs.sampling import EvaluateConfig, GenerateConfig
from training.contract.configs.score import ScoreConfig
from training.contract.configs.sft import SFTConfig
from training.contract.configs.stage import OptimiserConfig, StageConfig, TrainingConfig
from training.contract.configs.talk import TalkConfig

__all__ = [
    "EVERY_STAGE",
    "GROUPS",
    "INPUTS",
    "PRESETS",
    "STAGES",
    "ConfigError",
    "CurveConfig",
    "EvaluateConfig",
    "FetchConfig",
    "FieldSpec",
    "GenerateConfig",
    "OptimiserConfig",
    "PPOConfig",
    "RewardConfig",
    "RewardLearning",
    "SFTConfig",
    "ScoreConfig",
    "StageConfig",
    "TalkConfig",
    "TrainingConfig",
    "build",
    "check_options",
    "dump",
    "load",
    "option",
    "path",
    "preset",
    "specs",
]

#: In the order of the loop; the last two serve the choice of what to rank next.
STAGES: Final[dict[str, type[StageConfig]]] = {
    "sft": SFTConfig,
    "reward": RewardConfig,
    "ppo": PPOConfig,
    "generate": GenerateConfig,
    "evaluate": EvaluateConfig,
    "score": ScoreConfig,
    "curve": CurveConfig,
}
#: Those of the loop, and those beside it.
EVERY_STAGE: Final[dict[str, type[StageConfig]]] = {**STAGES, "fetch": FetchConfig, "talk": TalkConfig}


def preset(stage: str, name: str) -> dict[str, Any]:
    """The options of a preset, complete, without the paths (but with `init_model` "tiny" for the tiny SFT)."""
    if name not in PRESETS:
        raise ConfigError("preset", f"must be one of {', '.join(PRESETS)}, not {name!r}")
    options = {spec.name: spec.default for spec in specs(_type(stage)) if not spec.input}
    return options | OVERRIDES.get(stage, {}).get(name, {})


def build(stage: str, values: Mapping[str, Any]) -> StageConfig:
    """A checked config. Raises ConfigError naming the field: unknown, wrong type, out of range, or at odds."""
    config_type = _type(stage)
    return config_type(**known_values(config_type, values))


def check_options(stage: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check each given value alone, for a form whose paths are not known yet. Rules between fields wait for `build`."""
    config_type = _type(stage)
    known = known_values(config_type, values)
    for spec in specs(config_type):
        if spec.name in known:
            check_value(spec, known[spec.name])
    return known


def load(stage: str, path: str | Path) -> StageConfig:
    """Read and check a config file: one flat JSON object."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("", f"cannot read the config file {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("", f"{path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError("", f"{path} must hold one JSON object")
    return build(stage, values)


def dump(config: StageConfig) -> dict[str, Any]:
    """The config as the flat JSON object that `load` reads."""
    return asdict(config)


def _type(stage: str) -> type[StageConfig]:
    if stage not in EVERY_STAGE:
        raise ConfigError("stage", f"must be one of {', '.join(EVERY_STAGE)}, not {stage!r}")
    return EVERY_STAGE[stage]
