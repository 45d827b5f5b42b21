"""What a stage uses of its machine while it runs: processor, memory, GPU. One line now and then into `usage.jsonl`.

A thread looks; the stage does not wait for it. Of several processes the first one's use is written.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import psutil
import torch

from training.contract.rundir import RunDir
from training.engine.nvml import Gpu, NvmlError

GIB: Final = 2**30
SHORTEST_S, LONGEST_S = 2.0, 30.0
SHARE: Final = 1 / 200
"""The wait is this share of the time since the start: an hour has some 400 lines, a day some 3,000."""


class UsageWatch:
    """`with UsageWatch(run_dir, say=log.say):` writes lines until the block ends, the last one at its end."""

    def __init__(self, run_dir: RunDir, *, say: Callable[[str], None]) -> None:
        self._run_dir, self._say = run_dir, say
        self._meter = Meter(say=say)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look_until_done, name="usage", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _look_until_done(self) -> None:
        started = time.monotonic()
        is_over = False
        while not is_over:
            is_over = self._done.wait(wait_s(time.monotonic() - started))
            try:
                self._run_dir.append_usage(self._meter.read())
            except (OSError, RuntimeError, psutil.Error, NvmlError) as error:  # disk full, /proc closed: train on
                self._say(f"what the stage uses of the machine is no longer measured: {error}")
                return


class Meter:
    """Reads what this process and its children use."""

    def __init__(self, *, say: Callable[[str], None]) -> None:
        self._say = say
        self._process = psutil.Process()
        self._cpu_s, self._at = _cpu_seconds(self._family()), time.monotonic()
        self._gpu: Gpu | None = None
        self._has_asked_for_gpu = False

    def read(self) -> dict[str, float]:
        """The values of one line; those of the GPU once the stage has used one. Raises OSError or psutil.Error."""
        family = self._family()
        now, cpu_s = time.monotonic(), _cpu_seconds(family)
        used_s = max(0.0, cpu_s - self._cpu_s)  # a child that ended takes its seconds with it
        percent = 100 * used_s / max(now - self._at, 1e-9)
        self._cpu_s, self._at = cpu_s, now
        return {
            "system/cpu_percent": percent,
            "system/memory_gib": sum(_resident_bytes(process) for process in family) / GIB,
            "system/memory_left_gib": psutil.virtual_memory().available / GIB,
            **self._read_gpu(),
        }

    def _family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _read_gpu(self) -> dict[str, float]:
        cuda: Any = torch.cuda  # its is_initialized has no types
        if not cuda.is_initialized():  # asking would take a context's memory of a GPU that nobody uses
            return {}
        free, total = torch.cuda.mem_get_info(0)
        values = {
            "system/gpu_memory_gib": (total - free) / GIB,
            "system/gpu_own_memory_gib": torch.cuda.memory_reserved(0) / GIB,
        }
        gpu = self._find_gpu()
        return values | ({"system/gpu_percent": float(gpu.percent())} if gpu else {})

    def _find_gpu(self) -> Gpu | None:
        """Asked for once: without NVIDIA's management library memory alone is measured, and the log says so."""
        if not self._has_asked_for_gpu:
            self._has_asked_for_gpu = True
            try:
                self._gpu = Gpu(uuid=str(torch.cuda.get_device_properties(0).uuid))
                self._gpu.percent()
            except (OSError, NvmlError, AttributeError) as error:
                self._gpu = None
                self._say(f"how busy the GPU is cannot be measured here: {error}")
        return self._gpu


def wait_s(elapsed_s: float) -> float:
    """Seconds until the next line, after so many seconds."""
    return min(LONGEST_S, max(SHORTEST_S, elapsed_s * SHARE))


def _cpu_seconds(family: list[psutil.Process]) -> float:
    return sum(_own_cpu_seconds(process) for process in family)


def _own_cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # a child that has just ended
        return 0.0
    return float(times.user + times.system)


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
