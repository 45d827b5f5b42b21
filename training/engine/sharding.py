"""FSDP2: weights, gradients and optimiser spread over the processes, for models that are larger than one device.

`accelerate launch --use_fsdp --fsdp_version 2` asks for it. Each layer is gathered when it computes and let go after;
what is not in a layer (embeddings, the last norm, the unembedding) is gathered for a whole forward pass, which is why
everything that computes runs inside `within`. All processes must compute equally often, or they would wait for each
other, and gradients arrive as means over the processes, where everything here wants sums: `evened` sees to both.
Sampling cannot be evened: its rows end when they end. It has the whole of its model meanwhile (`gathered`).

torch's own part of this is loaded when a model is spread: it would take 45 MiB of a process that spreads none.
"""

import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from training.contract.configs import ConfigError
from training.engine import adapters
from training.engine.device import Compute
from training.engine.processes import Processes

Result = TypeVar("Result")
Item = TypeVar("Item")


def is_asked() -> bool:
    """Did accelerate's launcher ask for FSDP?"""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")


def refuse(stage: str) -> None:
    """Raises ConfigError for a stage that cannot be sharded, where the launcher asked for it."""
    if is_asked():
        raise ConfigError("device", f"cannot be sharded by FSDP for {stage}; start it without --use_fsdp")


def will_shard(processes: Processes) -> bool:
    """Does `place` spread models over the processes?"""
    return is_asked() and processes.count > 1


def place(model: Any, compute: Compute, processes: Processes) -> Any:
    """The model on its device; spread over the processes where the launcher asks for it, layer by layer, so that no
    device ever holds all of it."""
    if not will_shard(processes):
        return model.to(compute.device)
    shard(model)
    return model


def shard(model: Any) -> None:
    """Spread the model's parameters over all processes, which hold the same ones. It stays sharded from now on."""
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    body = model.base_model
    for layer in body.h if hasattr(body, "h") else body.layers:
        fully_shard(layer)
    fully_shard(model)
    model.compute_within = types.MethodType(lambda self, compute: compute(), model)
    register_fsdp_forward_method(model, "compute_within")


def is_sharded(model: Any) -> bool:
    """Is this model spread over the processes?"""
    return _is_a(model, "torch.distributed.fsdp", "FSDPModule")


def is_spread(value: Any) -> bool:
    """Is this tensor spread over the processes?"""
    return _is_a(value, "torch.distributed.tensor", "DTensor")


def within(model: Any, compute: Callable[[], Result]) -> Result:
    """What `compute` gives; a sharded model's parameters are there while it computes."""
    if not is_sharded(model):
        return compute()
    result: Result = model.compute_within(compute)
    return result


def asked(model: Any, question: Callable[..., Result], *about: Any, **named: Any) -> Result:
    """What the model says to a question of `training.engine.scoring`, `within` it."""
    return within(model, lambda: question(model, *about, **named))


@contextmanager
def gathered(model: Any) -> Iterator[None]:
    """Each process has the whole of a sharded model meanwhile, and no forward pass waits for another process. All must
    enter and leave together; for forward passes without gradients."""
    parts = [module for module in model.modules() if is_sharded(module)]
    layers = [part for part in parts if part is not model]  # what is not in a layer stays after a forward pass anyway
    for layer in layers:
        layer.set_reshard_after_forward(False)
    for part in parts:
        part.unshard()
    yield
    for part in parts:
        part.reshard()
    for layer in layers:
        layer.set_reshard_after_forward(True)


def evened(model: Any, packs: Sequence[Item], processes: Processes, *, spare: Item) -> list[tuple[Item, float]]:
    """Each pack with the factor of its loss: 1. For a sharded model it is the number of processes, because FSDP takes
    means, and every process gets as many packs: those that are missing are `spare` with factor 0."""
    if not is_sharded(model):
        return [(pack, 1.0) for pack in packs]
    missing = max(processes.gather(len(packs))) - len(packs)
    return [(pack, float(processes.count)) for pack in packs] + [(spare, 0.0)] * missing


def whole(value: Any) -> Any:
    """A state with its sharded tensors put together, on the host, since a device may not hold all of them; all
    processes must ask for it together."""
    if is_spread(value):
        return value.full_tensor().cpu()
    if isinstance(value, Mapping):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    return value


@torch.no_grad()
def load_state(model: Any, values: Mapping[str, Tensor]) -> None:
    """Undo everything since `whole(adapters.state(model))`: each process takes its part."""
    if not is_sharded(model):
        adapters.load_state(model, values)
        return
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.copy_(part(values[name], like=parameter))


def load_optimizer(optimizer: torch.optim.Optimizer, values: Mapping[str, Any]) -> None:
    """Put a whole state into an optimiser, whose parameters may be sharded."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        number: {
            name: part(item, like=parameters[int(number)]) if isinstance(item, Tensor) and item.dim() else item
            for name, item in numbers.items()
        }
        for number, numbers in values["state"].items()
    }
    optimizer.load_state_dict({**values, "state": state})


def part(value: Tensor, *, like: Any) -> Tensor:
    """This process's part of a whole tensor, spread as `like` is; all of it when that is not sharded."""
    if is_spread(value) or not is_spread(like):
        return value.to(like.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def _is_a(value: Any, module: str, name: str) -> bool:
    """Is it of this class? Nothing is where its module has not been loaded."""
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))
