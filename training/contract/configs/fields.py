"""How a config field describes itself: help, range, choices, unit, group, and whether the launcher fills it in.

The same description checks a config, fills the web form and prints the command line's help.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, Final

GROUPS: Final = ("model", "data", "optimisation", "ppo", "sampling", "limits")
INPUTS: Final = (
    "model",
    "policy_model",
    "reward_model",
    "snapshot:sft",
    "snapshot:reward",
    "snapshot:prompts",
    "snapshot:text",
    "snapshot:responses",
    "file",
    "archive",
    "folder",
)


class ConfigError(ValueError):
    """A config that cannot be run. `field` names the field at fault ("" for the file as a whole)."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


@dataclass(frozen=True, kw_only=True)
class FieldSpec:
    """One field as forms and help texts need it. `input` is "" for an option, else the kind of path that is wanted."""

    name: str
    type: type
    default: Any
    help: str
    group: str
    min: float | None = None
    max: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""
    input: str = ""
    required: bool = False


def option(
    default: Any,
    help: str,
    *,
    group: str,
    min: float | None = None,
    max: float | None = None,
    choices: tuple[Any, ...] = (),
    unit: str = "",
) -> Any:
    """A value that a person chooses."""
    return field(
        default=default,
        metadata={
            "help": help,
            "group": group,
            "min": min,
            "max": max,
            "choices": choices,
            "unit": unit,
            "input": "",
            "required": False,
        },
    )


def path(input: str, help: str, *, group: str = "data", required: bool = False) -> Any:
    """A path to a model folder, a snapshot folder or a file; the launcher fills it in. Empty means: not given."""
    return field(
        default="",
        metadata={
            "help": help,
            "group": group,
            "min": None,
            "max": None,
            "choices": (),
            "unit": "",
            "input": input,
            "required": required,
        },
    )


def specs(config_type: type) -> tuple[FieldSpec, ...]:
    """The fields of a config class, in the order in which a form shows them: the models that it needs, its own, then
    those it shares with ever more stages."""
    bases = [base for base in config_type.__mro__ if is_dataclass(base)]
    depth = {
        item.name: place for place, base in enumerate(bases) for item in fields(base)
    }  # the last base has it first
    found = [_spec(item) for item in sorted(fields(config_type), key=lambda item: depth[item.name])]
    return tuple(sorted(found, key=lambda spec: not (spec.required and spec.input and spec.group == "model")))


def check(config: Any) -> None:
    """Check every field against its own description. Raises ConfigError that names the first field at fault."""
    for spec in specs(type(config)):
        check_value(spec, getattr(config, spec.name))


def check_value(spec: FieldSpec, value: Any) -> None:
    """Check one value. Raises ConfigError with the field's name."""
    if not _has_type(value, spec.type):
        raise ConfigError(spec.name, f"must be {_TYPE_NAMES[spec.type]}, not {value!r}")
    if spec.required and not value:
        raise ConfigError(spec.name, "must be given")
    if spec.choices and value not in spec.choices:
        raise ConfigError(spec.name, f"must be one of {', '.join(map(str, spec.choices))}, not {value!r}")
    if spec.min is not None and value < spec.min:
        raise ConfigError(spec.name, f"must be at least {spec.min:g}, not {value:g}")
    if spec.max is not None and value > spec.max:
        raise ConfigError(spec.name, f"must be at most {spec.max:g}, not {value:g}")


def known_values(config_type: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, whole numbers turned to floats where a float is wanted. Raises ConfigError for an unknown field."""
    types = {spec.name: spec.type for spec in specs(config_type)}
    for name in values:
        if name not in types:
            raise ConfigError(name, f"is not a field of {config_type.__name__}")
    return {name: _as_float(value) if types[name] is float else value for name, value in values.items()}


_TYPE_NAMES: Final[dict[type, str]] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _spec(item: "Field[Any]") -> FieldSpec:
    if item.default is MISSING or not isinstance(item.type, type):
        raise TypeError(f"{item.name}: a config field needs a default and a plain type")
    return FieldSpec(name=item.name, type=item.type, default=item.default, **item.metadata)


def _has_type(value: Any, wanted: type) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:
        return isinstance(value, float) and math.isfinite(value)
    return isinstance(value, wanted)


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
