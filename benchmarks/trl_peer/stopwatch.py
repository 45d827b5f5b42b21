"""Where the time of PPO updates goes, measured alike on both sides. Needs torch and nothing of Podium's or TRL's.

After every update the matmul rate is measured too, so that the limit is known under the very load that the update met.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import torch
import turns

RATE_TOKENS, RATE_WIDTH, RATE_TIMES = (8192, 4096, 12) if torch.cuda.is_available() else (1408, 256, 12)
PLACE: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16} if torch.cuda.is_available() else {}


class Stopwatch:
    """Seconds by the clock and of the processor, by part, summed over all updates but the first, which warms up."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}
        self.updates: list[list[float]] = []
        self.rates: list[float] = []
        self.tokens: list[int] = []
        self._since = _now()

    def watch(self, function: Callable[..., Any], part: str | Callable[[], str]) -> Callable[..., Any]:
        """The same function; what it takes counts for `part`."""

        @functools.wraps(function)
        def inner(*args: Any, **named: Any) -> Any:
            before = _now()
            try:
                return function(*args, **named)
            finally:
                name = part() if callable(part) else part
                found = self.spent.setdefault(name, [0.0, 0.0])
                self.spent[name] = [old + new for old, new in zip(found, _passed(before), strict=True)]

        return inner

    def count(self, num_tokens: int) -> None:
        """So many tokens of prompts and responses are in this update, padding not counted."""
        self.tokens.append(num_tokens)

    def start(self) -> None:
        """An update begins here, once it is this side's turn."""
        turns.wait()
        self._since = _now()

    def stop(self) -> None:
        """An update ended here. The first is forgotten."""
        self.updates.append(_passed(self._since))
        if len(self.updates) == 1:
            self.spent.clear()
        self.rates.append(_matmul_rate())
        turns.give()
        self.start()

    def found(self) -> dict[str, Any]:
        """All of it, for the result file. No update follows."""
        turns.end()
        return {
            "updates": self.updates[1:],
            "spent": self.spent,
            "tokens": self.tokens[1:],
            "matmul_rates": self.rates[1:],
            "gpu_peak": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
            "threads": torch.get_num_threads(),
        }


def _matmul_rate() -> float:
    """FLOP/s of a product, there and back, the median of several: on a CPU the largest one of the 3M model on a
    minibatch in fp32; on a GPU a large one in bf16."""
    tokens = torch.rand(RATE_TOKENS, RATE_WIDTH, **PLACE)
    weights = torch.rand(RATE_WIDTH, 4 * RATE_WIDTH, **PLACE)
    seconds = []
    for _ in range(RATE_TIMES):
        before = _now()
        (tokens @ weights) @ weights.T
        seconds.append(_passed(before)[0])
    return 16 * RATE_TOKENS * RATE_WIDTH**2 / sorted(seconds)[RATE_TIMES // 2]


def _now() -> tuple[float, float]:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def _passed(before: tuple[float, float]) -> list[float]:
    return [now - then for now, then in zip(_now(), before, strict=True)]
