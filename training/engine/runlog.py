"""What a stage tells the world while it runs: log lines, metrics, status with progress and ETA; and whether it was
asked to stop."""

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from training.contract.rundir import RunDir, Status

STATUS_INTERVAL_S = 0.5
"""The page polls every few seconds: writing the status at every fast step would only wear the disk."""


class Cancelled(Exception):  # noqa: N818 - not an error
    """The run was asked to stop and has written its checkpoint."""


class RunLog:
    """One stage's run. Steps count from 1 over all phases; `num_steps` is the total.

    Of several processes one writes; the others only listen for a cancel.
    """

    def __init__(self, run_dir: RunDir, *, writes: bool = True) -> None:
        self.run_dir = run_dir
        self._writes = writes
        self.cancel_asked = False
        self._phase, self._step, self._num_steps = "start", 0, 0
        previous = run_dir.read_status()
        self._started_at = previous.started_at if previous else time.time()
        self._status_at = self._step_at = 0.0
        self._step_s: float | None = None

    def say(self, message: str) -> None:
        """A line for people: into log.txt, and to stderr unless that is log.txt already."""
        if not self._writes:
            return
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} {message}\n"
        with self.run_dir.log_path.open("a", encoding="utf-8") as file:
            file.write(line)
            is_same = _is_stderr(file.fileno())
        if not is_same:
            sys.stderr.write(line)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Warnings of parts of the engine that know no run are lines of this log meanwhile."""
        handler = _Says(self)
        logger = logging.getLogger("training")
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)

    def plan(self, num_steps: int) -> None:
        """How many steps the whole run takes."""
        self._num_steps = num_steps

    def phase(self, name: str) -> None:
        """A new phase begins: its steps may take another time, so the ETA starts anew."""
        if name != self._phase:
            self._step_s, self._step_at = None, time.monotonic()
        self._phase = name
        self._write_status("running")

    def resume(self, step: int) -> None:
        """Go on after `step` (0: from the start): metrics of later steps, which will be done again, are dropped."""
        if self._writes:
            self.run_dir.truncate_metrics(step)
        self._step = step
        if step:
            self.say(f"going on after step {step}")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics. Write those of a step before its checkpoint, or a resumed run lacks them."""
        if self._writes:
            self.run_dir.append_metrics(step, values)

    def step_done(self, step: int) -> None:
        """Progress: updates the status (at most twice a second) and the ETA."""
        now = time.monotonic()
        if self._step_at and step > self._step:
            duration = (now - self._step_at) / (step - self._step)
            self._step_s = duration if self._step_s is None else 0.9 * self._step_s + 0.1 * duration
        self._step, self._step_at = step, now
        if now - self._status_at >= STATUS_INTERVAL_S:
            self._write_status("running")

    def finish(self, state: str, error: dict[str, str] | None = None) -> None:
        """The last status."""
        self._write_status(state, error)

    def listen_for_cancel(self) -> None:
        """From now on SIGTERM (and Ctrl-C) ask the stage to stop at its next step instead of killing it."""
        signal.signal(signal.SIGTERM, self._ask_cancel)
        signal.signal(signal.SIGINT, self._ask_cancel)

    def _ask_cancel(self, signum: int, frame: FrameType | None) -> None:
        self.cancel_asked = True

    def _write_status(self, state: str, error: dict[str, str] | None = None) -> None:
        self._status_at = time.monotonic()
        if not self._writes:
            return
        self.run_dir.write_status(
            Status(
                state=state,
                phase=self._phase,
                step=self._step,
                num_steps=self._num_steps,
                started_at=self._started_at,
                updated_at=time.time(),
                eta_s=self._eta_s() if state == "running" else None,
                error=error,
            )
        )

    def _eta_s(self) -> float | None:
        return None if self._step_s is None else round(self._step_s * max(0, self._num_steps - self._step), 1)


class _Says(logging.Handler):
    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.say(record.getMessage())


def _is_stderr(descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.fstat(sys.stderr.fileno()))
    except OSError:  # stderr is no file: somebody in this process collects it
        return False


def throughput(count: int, since: float) -> dict[str, Any]:
    """`perf/*` values of a step: the only metrics that differ between two runs of one config."""
    seconds = time.monotonic() - since
    return {"perf/step_s": seconds, "perf/tokens_per_s": count / max(seconds, 1e-9)}
