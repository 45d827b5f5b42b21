"""Stages as processes of their own that begin at once: forked from one that has loaded torch and the stages.

What is killed, stopped or one of several has to be a process, and most of the time of such a test went into the same
imports, seconds for each process. Python's fork server gives one the modules, and nothing of the test: no random state,
no thread, no open file. That the real commands start is for `test_cli.py`, and for the real launcher's tests.
"""

import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import pytest

LOADED: Final = [
    *(f"training.{stage}" for stage in ("sft", "reward", "ppo", "generate", "evaluate", "score", "curve")),
    *("training.engine.sharding", "transformers.models.gpt2.modeling_gpt2", "accelerate"),
]
QUIET: Final = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
LONGEST: Final = 300.0


def run(words: Sequence[str], *, said: Path) -> "subprocess.CompletedProcess[str]":
    """What `python WORDS` does, with what it said in the file `said` and as `stderr`."""
    return run_together([words], variables=[{}], said=said)


def run_together(
    commands: Sequence[Sequence[str]], *, variables: Sequence[Mapping[str, str]], said: Path
) -> "subprocess.CompletedProcess[str]":
    """Several at once, each with variables of its own. When one fails, so have all: the others are ended."""
    said.unlink(missing_ok=True)
    started: list[BaseProcess] = []
    for words, own in zip(commands, variables, strict=True):
        started.append(_context().Process(target=_be, args=(list(words), QUIET | own, str(said)), daemon=True))
        started[-1].start()
    _wait(started)
    codes = [process.exitcode or 0 for process in started]
    code = next((code for code in codes if code), 0)
    return subprocess.CompletedProcess(list(commands), code, stderr=said.read_text() if said.exists() else "")


def _wait(started: Sequence[BaseProcess]) -> None:
    until = time.monotonic() + LONGEST
    while any(process.is_alive() for process in started):
        if any(process.exitcode for process in started):
            until = min(until, time.monotonic() + 15)  # the others may be on their way out
        if time.monotonic() > until:
            for process in started:
                process.kill()
        for process in started:
            process.join(0.05)


@functools.cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    with pytest.MonkeyPatch.context() as patch:  # some libraries look only when they are loaded
        for name, value in QUIET.items():
            patch.setenv(name, value)
        forkserver.ensure_running()
    return context


def _be(words: list[str], variables: dict[str, str], said: str) -> None:
    """Become `python WORDS`, in the new process."""
    os.environ.update(variables)
    with open(said, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    match words:
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case ["-c", code, *rest]:
            sys.argv = ["-c", *rest]
            exec(compile(code, "-c", "exec"), {"__name__": "__main__"})  # noqa: S102
        case [script, *rest]:
            sys.argv = [script, *rest]
            runpy.run_path(script, run_name="__main__")
