"""Where to compute and in which precision, and every source of chance in one place.

Weights are always fp32 (the "master" weights); bf16 is a property of the forward pass, by autocast.
"""

import ctypes
import os
import random
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from training.contract.configs import ConfigError, StageConfig


@dataclass(frozen=True)
class Compute:
    """The device, and the precision of forward passes on it."""

    device: torch.device
    forward_dtype: torch.dtype

    def autocast(self) -> AbstractContextManager[Any]:
        """Forward passes run inside this; a no-op in fp32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.forward_dtype == torch.bfloat16)


def choose(config: StageConfig) -> Compute:
    """Turn the config's wishes into a device and a precision. Raises ConfigError for a GPU that is not there."""
    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise ConfigError("device", "is 'cuda', but torch finds no GPU")
    use_gpu = has_gpu and config.device != "cpu"
    if use_gpu:  # cuDNN's attention makes a plan for every new shape, which takes longer than a whole step
        torch.backends.cuda.enable_cudnn_sdp(False)
    use_bf16 = config.precision == "bf16" or (config.precision == "auto" and use_gpu)
    gpu = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if "LOCAL_RANK" in os.environ else torch.device("cuda")
    return Compute(gpu if use_gpu else torch.device("cpu"), torch.bfloat16 if use_bf16 else torch.float32)


def keep_freed_memory() -> None:
    """Let the C library keep large blocks that are freed instead of handing them back to the kernel.

    Every step allocates the same activations again: on a CPU a fifth of the time went into mapping and clearing pages.
    """
    with suppress(OSError, AttributeError):  # another C library than glibc: only slower
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD


def leave_a_core() -> int:
    """Compute on one core less than there is, unless OMP_NUM_THREADS says how many. Returns the number of threads.

    The web server, the workers and the database live on the same small machine, and a thread that waits for a core
    holds up all the others at every operation: on two cores that are in use, two threads took ten times as long as
    one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() >= cores > 1:
        torch.set_num_threads(cores - 1)
    return torch.get_num_threads()


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def rng_state() -> dict[str, Any]:
    """The state of every global generator, as a checkpoint keeps it."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng_state(state: dict[str, Any]) -> None:
    """Undo everything that was drawn since `rng_state`."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
