"""Where to compute, and on how many threads."""

import os
from collections.abc import Iterator

import pytest
import torch

from training.contract.configs import ConfigError, RewardConfig
from training.engine import device


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def config(**changes: str) -> RewardConfig:
    return RewardConfig(init_model="m", dataset="d", **changes)  # type: ignore[arg-type]


def test_a_gpu_that_is_not_there_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        device.choose(config(device="cuda"))
    assert caught.value.field == "device"
    assert device.choose(config()).device.type == "cpu"


def test_bf16_is_for_forward_passes_and_fp32_is_untouched() -> None:
    layer, x = torch.nn.Linear(4, 4), torch.ones(1, 4)
    with device.choose(config(device="cpu", precision="bf16")).autocast():
        assert layer(x).dtype == torch.bfloat16
    with device.choose(config(device="cpu")).autocast():
        assert layer(x).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


@pytest.mark.usefixtures("threads")
def test_a_core_is_left_to_others_unless_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(4)
    assert device.leave_a_core() == 3
    torch.set_num_threads(2)
    assert device.leave_a_core() == 2  # somebody chose fewer
    torch.set_num_threads(4)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert device.leave_a_core() == 4


def test_freed_memory_can_be_kept_on_any_machine() -> None:
    device.keep_freed_memory()
