"""The command line that all stages share.

    python -m training.sft --config sft.json --run-dir runs/sft-1        run a stage, or go on with it
    python -m training.cli                                               the stages and their fields
    python -m training.cli config sft --preset tiny-cpu                  a config file to start from
    python -m training.cli check sft sft.json                            is this config file right?

Exit codes of a stage: 0 done, manifest written · 1 failed, status.json says why · 3 cancelled by SIGTERM after a
checkpoint.
"""

import argparse
import ctypes
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from training.contract import configs
from training.contract.configs import EVERY_STAGE, STAGES, ConfigError, StageConfig
from training.contract.rundir import EXIT_CANCELLED, EXIT_FAILED, EXIT_SUCCEEDED, RunDir, read_json, write_json
from training.engine import processes
from training.engine.device import keep_freed_memory, leave_a_core
from training.engine.optim import NonFiniteError
from training.engine.runlog import Cancelled, RunLog
from training.engine.usage import UsageWatch

LOCK_WAIT_S = 15.0
"""How long a new process waits for the one before it, which may still be dying with its parent."""


@dataclass(frozen=True)
class Result:
    """What a stage hands back for the manifest: final figures, and the hashes of what it read."""

    summary: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)


Stage = Callable[[Any, RunDir, RunLog], Result]


def run_stage(stage: str, main: Stage, argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run `main`, and leave status and manifest. Returns the exit code."""
    arguments = _stage_arguments(stage, argv)
    if not arguments.outlive_parent:
        die_with_parent()
    run_dir = RunDir(arguments.run_dir)
    run_dir.create()
    if processes.own_index():  # one of several: process 0 holds the lock and writes
        return _run_locked(stage, main, run_dir, Path(arguments.config))
    try:
        with _only_process(run_dir):
            return _run_locked(stage, main, run_dir, Path(arguments.config))
    except BlockingIOError:
        print(f"{run_dir.path} is in use by another process", file=sys.stderr)
        return EXIT_FAILED


def die_with_parent() -> None:
    """End this process when its parent ends: at once by the kernel (Linux), within a second by a watch elsewhere."""
    parent = os.getppid()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def resolve_inputs(config: StageConfig, run_dir: RunDir) -> StageConfig:
    """Paths that exist inside the run directory are meant there; others are left as they are.

    Raises ConfigError for a path that does not exist (a model may also be a name on the hub).
    """
    changes: dict[str, Any] = {}
    for spec in configs.specs(type(config)):
        value = getattr(config, spec.name)
        if spec.input and value:
            changes[spec.name] = _resolve(spec, value, run_dir)
    return dataclasses.replace(config, **changes)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m training.cli`."""
    parser = argparse.ArgumentParser(prog="python -m training.cli", description=_overview(), formatter_class=_Raw)
    commands = parser.add_subparsers(dest="command")
    for name, text in (
        ("config", "print a config file"),
        ("check", "check a config file"),
        ("fields", "explain every field"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("stage", choices=list(STAGES if name == "config" else EVERY_STAGE))
        if name == "config":
            command.add_argument("--preset", choices=configs.PRESETS, default="tiny-cpu")
        if name == "check":
            command.add_argument("file")
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return EXIT_SUCCEEDED
    return _COMMANDS[arguments.command](arguments)


def _run_locked(stage: str, main: Stage, run_dir: RunDir, config_path: Path) -> int:
    if run_dir.manifest_path.exists():
        print(f"{run_dir.path} is complete already", file=sys.stderr)
        return EXIT_SUCCEEDED
    is_main = processes.own_index() == 0
    log = RunLog(run_dir, writes=is_main)
    log.listen_for_cancel()
    try:
        config = _load_config(stage, config_path, run_dir, keep=is_main)
        _quiet_libraries()
        keep_freed_memory()
        num_threads = leave_a_core()
        log.say("1 thread" if num_threads == 1 else f"{num_threads} threads")
        log.phase("load")
        with log.hearing(), UsageWatch(run_dir, say=log.say) if is_main else nullcontext():
            result = main(config, run_dir, log)
        if is_main:
            run_dir.write_manifest(stage=stage, summary=result.summary, inputs=result.inputs)
        log.finish("succeeded")
        return EXIT_SUCCEEDED
    except Cancelled:
        log.say("cancelled; a checkpoint is there to go on from")
        log.finish("cancelled")
        return EXIT_CANCELLED
    except Exception as error:  # the boundary: whatever it is, the status must say it
        if not is_main:
            print(f"process {processes.own_index()} failed: {type(error).__name__}: {error}", file=sys.stderr)
            return EXIT_FAILED
        return _fail(error, run_dir, log)
    finally:
        processes.leave()


def _fail(error: Exception, run_dir: RunDir, log: RunLog) -> int:
    if isinstance(error, NonFiniteError):
        path = _save_batch(error, run_dir)
        log.say(f"the batch is kept in {path.name}")
    if not isinstance(error, ConfigError):
        log.say(traceback.format_exc().rstrip())
    log.say(f"failed: {type(error).__name__}: {error}")
    detail = {"type": type(error).__name__, "message": str(error)}
    log.finish("failed", detail | ({"field": error.field} if isinstance(error, ConfigError) else {}))
    return EXIT_FAILED


def _load_config(stage: str, path: Path, run_dir: RunDir, *, keep: bool) -> StageConfig:
    """Read, check and keep the config. The run directory's own copy never changes."""
    config = configs.load(stage, path)
    if not keep:
        return resolve_inputs(config, run_dir)
    kept = read_json(run_dir.config_path)
    if kept is None:
        write_json(run_dir.config_path, configs.dump(config))
    elif configs.dump(configs.build(stage, kept)) != configs.dump(config):
        raise ConfigError("", f"{path} differs from the config that {run_dir.path} was started with")
    return resolve_inputs(config, run_dir)


def _resolve(spec: configs.FieldSpec, value: str, run_dir: RunDir) -> str:
    inside = run_dir.path / value
    if inside.exists():
        return str(inside)
    may_be_name = spec.input in ("model", "policy_model", "reward_model") and not value.startswith(
        ("/", ".", "~", "inputs/")
    )
    if not Path(value).exists() and not may_be_name:
        raise ConfigError(spec.name, f"there is nothing at {value}")
    return value


def _save_batch(error: NonFiniteError, run_dir: RunDir) -> Path:
    from safetensors.torch import save_file  # only a failing run needs it

    path = run_dir.path / "nonfinite_batch.safetensors"
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in error.tensors.items()}, path)
    return path


class _only_process:  # noqa: N801 - reads as a statement
    """Hold the run directory's lock: two processes in one run would mix their steps."""

    def __init__(self, run_dir: RunDir) -> None:
        self._path = run_dir.path / ".lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(EXIT_FAILED)


def _quiet_libraries() -> None:
    """Progress bars and load reports would fill log.txt; warnings that matter are errors here."""
    from transformers.utils import logging

    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _stage_arguments(stage: str, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m training.{stage}",
        description=_about(stage) + "\n\nFields of the config file:\n" + _field_help(stage),
        formatter_class=_Raw,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the config: one flat JSON object")
    parser.add_argument(
        "--run-dir", required=True, metavar="DIR", help="where everything is written; run again to go on"
    )
    parser.add_argument(
        "--outlive-parent", action="store_true", help="go on when the process that started this one ends"
    )
    return parser.parse_args(argv)


def _overview() -> str:
    lines = [f"  python -m training.{stage:9} {_about(stage)}" for stage in EVERY_STAGE]
    return "The stages, each with --config FILE --run-dir DIR (and --help for its fields):\n" + "\n".join(lines)


def _about(stage: str) -> str:
    return (EVERY_STAGE[stage].__doc__ or "").split("\n")[0]


def _field_help(stage: str) -> str:
    return "\n".join(_describe(spec) for spec in configs.specs(EVERY_STAGE[stage]))


def _describe(spec: configs.FieldSpec) -> str:
    default = "required" if spec.required else f"default {json.dumps(spec.default)}"
    bounds = f", {spec.min:g} to {spec.max:g}" if spec.min is not None and spec.max is not None else ""
    choices = f", one of {', '.join(map(str, spec.choices))}" if spec.choices else ""
    unit = f" {spec.unit}" if spec.unit else ""
    return f"  {spec.name} ({default}{unit}{bounds}{choices})\n      {spec.help}"


def _print_config(arguments: argparse.Namespace) -> int:
    values = configs.preset(arguments.stage, arguments.preset)
    paths = {spec.name: spec.default for spec in configs.specs(STAGES[arguments.stage]) if spec.input}
    print(json.dumps(paths | values, indent=2, ensure_ascii=False))
    return EXIT_SUCCEEDED


def _check_config(arguments: argparse.Namespace) -> int:
    try:
        configs.load(arguments.stage, arguments.file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    print("this config is right")
    return EXIT_SUCCEEDED


def _print_fields(arguments: argparse.Namespace) -> int:
    print(_field_help(arguments.stage))
    return EXIT_SUCCEEDED


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps line breaks, and uses the terminal's width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(120, shutil.get_terminal_size().columns))


_COMMANDS = {"config": _print_config, "check": _check_config, "fields": _print_fields}


if __name__ == "__main__":
    raise SystemExit(main())
