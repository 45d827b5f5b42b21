"""What a stage uses of its machine: lines that come by themselves, and never stop the stage."""

import ctypes
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny_world
from training.contract.rundir import RunDir
from training.engine import usage
from training.engine.nvml import Gpu, NvmlError
from training.engine.usage import Meter, UsageWatch, wait_s


def lines(run_dir: RunDir) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run_dir.usage_path.read_text().splitlines()]


def unheard(message: str) -> None:
    raise AssertionError(message)


def test_processor_and_memory_are_those_of_this_process() -> None:
    began = time.monotonic()
    meter = Meter(say=unheard)
    until = time.process_time() + 0.3
    kept = bytearray(64 << 20)
    while time.process_time() < until:
        pass
    values = meter.read()
    assert values["system/cpu_percent"] > 100 * 0.25 / (time.monotonic() - began)
    assert values["system/memory_gib"] * 2**30 > len(kept)
    assert 0 < values["system/memory_left_gib"] < 1e6
    assert not any("gpu" in name for name in values)


def test_the_last_line_is_written_when_the_stage_ends(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    with UsageWatch(run_dir, say=unheard):
        assert not run_dir.usage_path.exists()
    (line,) = lines(run_dir)
    assert line["values"].keys() == {"system/cpu_percent", "system/memory_gib", "system/memory_left_gib"}
    assert abs(line["time"] - time.time()) < 60


def test_lines_come_while_the_stage_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "SHORTEST_S", 0.01)
    run_dir = RunDir(tmp_path)
    with UsageWatch(run_dir, say=unheard):
        deadline = time.monotonic() + 30
        while len(run_dir.read_usage()) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(lines(run_dir)) >= 4


def test_a_full_disk_ends_the_measuring_and_not_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "SHORTEST_S", 0.01)
    said: list[str] = []
    with UsageWatch(RunDir(tmp_path / "nowhere"), say=said.append):
        deadline = time.monotonic() + 30
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(said) == 1
    assert "no longer measured" in said[0]


def test_long_runs_are_asked_less_often() -> None:
    assert [wait_s(elapsed) for elapsed in (0, 400, 1000, 3600, 86_400)] == [2, 2, 5, 18, 30]


def test_a_resumed_stage_keeps_the_lines_that_are_there(tmp_path: Path) -> None:
    world = tiny_world.build(tmp_path / "world")
    folder = tmp_path / "run"
    RunDir(folder).create()
    RunDir(folder).append_usage({"system/cpu_percent": 1.0})
    config = {"model": str(world.policy), "prompts": str(world.prompts), "max_prompt_tokens": 40, "max_new_tokens": 4}
    assert tiny_world.run("generate", config, folder) == 0
    values = [line["values"] for line in lines(RunDir(folder))]
    assert values[0] == {"system/cpu_percent": 1.0}
    assert "system/memory_gib" in values[-1]


class Library:
    """NVML as far as it is asked: two GPUs, of which the second is busy."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.asked: list[bytes] = []

    def nvmlInit_v2(self) -> int:  # noqa: N802 - NVML's own name
        return self.code

    def nvmlDeviceGetHandleByUUID(self, name: ctypes.c_char_p, handle: Any) -> int:  # noqa: N802 - NVML's own name
        self.asked.append(name.value or b"")
        handle._obj.value = 42
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle: ctypes.c_void_p, found: Any) -> int:  # noqa: N802 - NVML's own name
        assert handle.value == 42
        found._obj.gpu, found._obj.memory = 87, 12
        return 0


def test_a_gpu_is_found_by_its_uuid_and_says_how_busy_it_is() -> None:
    library = Library()
    assert Gpu(uuid="1-2", library=library).percent() == 87
    assert library.asked == [b"GPU-1-2"]


def test_a_management_library_that_refuses_is_told_by_its_code() -> None:
    with pytest.raises(NvmlError, match="nvmlInit_v2 answered 9"):
        Gpu(uuid="1-2", library=Library(code=9))


def test_gpu_memory_is_measured_even_where_nvml_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (6 * 2**30, 8 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("P", (), {"uuid": "1-2"}))
    monkeypatch.setattr("training.engine.nvml.LIBRARY", "libnothing.so.0")
    meter = Meter(say=said.append)
    for _ in range(2):
        values = meter.read()
    assert (values["system/gpu_memory_gib"], values["system/gpu_own_memory_gib"]) == (2, 1)
    assert "system/gpu_percent" not in values
    assert len(said) == 1
