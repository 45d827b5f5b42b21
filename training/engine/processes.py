"""Several processes that train one model: each takes its share of every batch, and they add up what they found.

`accelerate launch` starts them; without a launcher there is one process, nothing here does anything, and no group is
made. All processes hold the same weights. Each divides its loss by the count of the global batch, and gradients are
added up before the optimiser sees them: the mean over the global batch is exact, and every process takes the same step.
Process 0 alone writes files.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, distributed

from training.contract.configs import ConfigError
from training.engine.device import Compute, restore_rng_state, rng_state, seed_everything

Item = TypeVar("Item")

BUCKET: Final = 1 << 24
"""Numbers that travel at once: small gradients share a message, and no copy is larger than 64 MiB."""


def own_index() -> int:
    """The number of this process as its launcher gave it; 0 without one. Known before any group is made."""
    return int(os.environ.get("RANK", "0"))


def refuse_several(stage: str) -> None:
    """Raises ConfigError under a launcher of several processes, for stages that would all do the same work."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("device", f"is one process for {stage}; start it without a multi-process launcher")


@dataclass(frozen=True)
class Processes:
    """The processes of this run as one of them sees them."""

    index: int = 0
    count: int = 1

    @classmethod
    def join(cls, compute: Compute) -> "Processes":
        """Join the group that a launcher has prepared; alone without one."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return ALONE
        from accelerate import PartialState  # one process does not need it

        state = PartialState(cpu=compute.device.type == "cpu")
        return cls(state.process_index, state.num_processes)

    @property
    def is_main(self) -> bool:
        """Does this process write files?"""
        return self.index == 0

    def __str__(self) -> str:
        return "one process" if self.count == 1 else f"{self.count} processes"

    def seed(self, seed: int) -> None:
        """Other luck for every process but the first, once the weights are made: dropout must differ between them."""
        if self.index:
            seed_everything((seed + 1_000_003 * self.index) % 2**31)

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Every count-th item."""
        return list(items[self.index :: self.count])

    def whole(self, shares: Sequence[Item]) -> list[Item]:
        """The items of all processes in the order that `share` took them from."""
        if self.count == 1:
            return list(shares)
        parts = self.gather(list(shares))
        return [parts[place % self.count][place // self.count] for place in range(sum(map(len, parts)))]

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, in order."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, value)
        return found

    def sum(self, value: float) -> float:
        """Added up over the processes, in their order."""
        return float(sum(self.gather(value)))

    def any(self, flag: bool) -> bool:
        """Is it so in any process? What all must do together, all must know: stopping, for one."""
        return any(self.gather(flag))

    def sum_figures(self, figures: Mapping[str, float], *, largest: Sequence[str] = ()) -> dict[str, float]:
        """Each figure added up over the processes; of those named in `largest` the largest."""
        if self.count == 1:
            return dict(figures)
        parts = self.gather(dict(figures))
        names = dict.fromkeys(name for part in parts for name in part)
        values = {name: [part[name] for part in parts if name in part] for name in names}
        return {name: max(found) if name in largest else sum(found) for name, found in values.items()}

    def sum_tensor(self, tensor: Tensor) -> Tensor:
        """Added up over the processes."""
        if self.count > 1:
            distributed.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Add up the gradients of all processes, in place. A parameter without one counts as 0."""
        if self.count == 1:
            return
        bucket: list[Tensor] = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if bucket and sum(item.numel() for item in bucket) + parameter.numel() > BUCKET:
                _sum_bucket(bucket)
                bucket = []
            bucket.append(parameter.grad)
        if bucket:
            _sum_bucket(bucket)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()

    def rng_state(self) -> dict[str, Any]:
        """The state of every source of chance of every process, for a checkpoint."""
        return rng_state() if self.count == 1 else {"processes": self.gather(rng_state())}

    def restore_rng_state(self, state: dict[str, Any], *, seed: int) -> None:
        """Undo what was drawn since `rng_state`. After a change of the number of processes chance starts anew."""
        if self.count == 1 and "processes" not in state:
            restore_rng_state(state)
        elif len(state.get("processes", [])) == self.count:
            restore_rng_state(state["processes"][self.index])
        else:
            seed_everything(seed)
            self.seed(seed)


ALONE: Final = Processes()


def leave() -> None:
    """Take leave of the group, if there is one."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _sum_bucket(gradients: Sequence[Tensor]) -> None:
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [item.numel() for item in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
