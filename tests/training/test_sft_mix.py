"""The pretraining mix of SFT, as InstructGPT uses it for the model that PPO starts from: how much text comes, what it
weighs, and what it does to the gradient."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training import preference_world, tiny_world
from tests.training.preference_world import Snapshots
from tests.training.tiny_world import World, curve, run, run_until
from training.contract import configs
from training.contract.configs import ConfigError, SFTConfig
from training.engine import batches, device, packing
from training.engine.batches import Cuts, Example
from training.engine.demonstrations import Material, Plan, read_material
from training.engine.models import load_policy
from training.engine.processes import ALONE
from training.engine.text import load_text
from training.sft import Setup, learn

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Snapshots:
    return preference_world.build(tmp_path_factory.mktemp("snapshots"), num_prompts=20)


def values(world: World, snapshots: Snapshots, **changes: Any) -> dict[str, Any]:
    """12 demonstrations, of which a batch of 8 takes 6 beside 2 pieces of text."""
    return {
        "init_model": str(world.policy),
        "dataset": str(snapshots.sft),
        "pretraining_text": str(world.text),
        "pretraining_fraction": 0.25,
        "pretrain_sequence_tokens": 16,
        "batch_size": 8,
        "micro_batch_size": 3,
        "num_epochs": 2,
        "max_prompt_tokens": 32,
        "max_response_tokens": 32,
        "checkpoint_every": 2,
    } | changes


def build(given: dict[str, Any]) -> SFTConfig:
    config = configs.build("sft", given)
    assert isinstance(config, SFTConfig)
    return config


def material(config: SFTConfig) -> Material:
    return read_material(config, load_text(config.init_model), lambda _line: None)


@pytest.mark.parametrize("num_demonstrations", [540, 541, 560])
def test_ten_per_cent_of_all_rows_are_pieces_of_the_train_text(num_demonstrations: int) -> None:
    stream = list(range(10_000))
    given = Material(
        train=[Example([1], [number]) for number in range(num_demonstrations)],
        valid=[],
        prompts=[],
        stream=stream,
        cuts=Cuts(),
        hashes={},
    )
    config = build(
        {"init_model": "m", "dataset": "d", "pretraining_text": "t", "pretraining_fraction": 0.1, "batch_size": 20}
        | {"num_epochs": 2, "pretrain_sequence_tokens": 100}
    )
    plan = Plan.of(config, given, is_measured=False)
    steps = [plan.examples(config, given, step) for step in range(plan.num_steps)]
    texts = [example for rows in steps for example in rows if example.is_text]
    demonstrations = [example.response[0] for rows in steps for example in rows if not example.is_text]
    assert sorted(demonstrations) == sorted([*range(num_demonstrations)] * 2)
    assert len(texts) / (len(texts) + len(demonstrations)) == pytest.approx(0.1, abs=0.001)
    for rows in steps:  # the last batch of an epoch too, which may be smaller
        num_texts = sum(example.is_text for example in rows)
        assert abs(num_texts - 0.1 * len(rows)) <= 0.5
    for piece in texts:
        first = piece.prompt[0]
        assert piece.prompt + piece.response == stream[first : first + 100]
    assert len({piece.prompt[0] for piece in texts}) > 0.9 * len(texts)  # from all over the text, not one piece again


def test_only_the_train_split_of_the_text_is_mixed_in(world: World, snapshots: Snapshots) -> None:
    found = material(build(values(world, snapshots)))
    text = load_text(str(world.policy)).decode(found.stream)
    assert "number 0" in text
    assert "number 3" not in text  # the valid piece


def test_a_tiny_model_mixes_in_the_text_that_it_was_pretrained_on(snapshots: Snapshots, tmp_path: Path) -> None:
    given = preference_world.TINY | {"dataset": str(snapshots.sft), "pretraining_fraction": 0.5, "num_epochs": 1}
    assert run("sft", given | {"batch_size": 4}, tmp_path / "run") == 0
    steps = [step for _, step in curve(tmp_path / "run")]
    assert ["sft/text_loss" in step for step in steps] == [False] * 4 + [True] * 6


class Recorder(torch.optim.Optimizer):
    """Keeps the gradients that it is given and changes nothing."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        super().__init__(parameters, {"lr": 0.0})
        self.gradients: list[Tensor] = []

    def step(self, closure: Any = None) -> None:
        assert closure is None
        self.gradients = [p.grad.clone() for group in self.param_groups for p in group["params"]]


def mean_loss(model: Any, examples: Sequence[Example]) -> Tensor:
    """Nats per response token, one row at a time, by the model's own logits."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for example in examples:
        row = torch.tensor([[*example.prompt, *example.response]])
        logits = model(input_ids=row).logits[0, len(example.prompt) - 1 : -1]
        total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(example.response), reduction="sum")
        count += len(example.response)
    return total / count


@pytest.mark.parametrize("is_packed", [True, False])
def test_the_gradient_is_that_of_both_losses_each_weighed_by_its_tokens(
    is_packed: bool, world: World, snapshots: Snapshots
) -> None:
    config = build(values(world, snapshots, max_grad_norm=1000.0))
    text = load_text(config.init_model)
    model = load_policy(config.init_model, text).double()
    found = material(config)
    plan = Plan.of(config, found, is_measured=False)
    examples = plan.examples(config, found, step=1)
    texts, demonstrations = ([e for e in examples if e.is_text == wanted] for wanted in (True, False))
    assert (len(texts), len(demonstrations)) == (2, 6)
    num_text, num_others = (sum(len(e.response) for e in rows) for rows in (texts, demonstrations))
    of_texts, of_demonstrations = mean_loss(model, texts), mean_loss(model, demonstrations)
    parameters = list(model.parameters())
    apart = [torch.autograd.grad(loss, parameters) for loss in (of_texts, of_demonstrations)]
    share = num_text / (num_text + num_others)
    expected = [share * of_text + (1 - share) * other for of_text, other in zip(*apart, strict=True)]

    if is_packed:
        packing.enable(model)
    setup = Setup(config=config, compute=device.choose(config), processes=ALONE, text=text, model=model)
    recorder = Recorder(parameters)
    logged, _ = learn(setup, [recorder], examples, learning_rate=1.0, name="sft")
    assert logged["sft/text_share"] == share
    assert logged["sft/text_loss"] == pytest.approx(of_texts.item(), rel=1e-6)
    assert logged["sft/loss"] == pytest.approx(
        share * of_texts.item() + (1 - share) * of_demonstrations.item(), rel=1e-6
    )
    scale = max(float(gradient.norm()) for gradient in expected)
    for ours, theirs in zip(recorder.gradients, expected, strict=True):
        assert float((ours - theirs).norm()) <= 1e-6 * scale
    assert float((apart[0][0] - apart[1][0]).norm()) > 0.1 * scale  # the two do differ


def test_a_mixed_run_that_is_killed_goes_on_to_the_last_digit(
    world: World, snapshots: Snapshots, tmp_path: Path
) -> None:
    given = values(world, snapshots, dropout=0.2, num_epochs=3)
    assert run("sft", given, tmp_path / "whole") == 0
    whole = curve(tmp_path / "whole")
    assert len(whole) == 6
    assert all("sft/text_loss" in step for _, step in whole)
    folder = tmp_path / "run"
    assert run_until("sft", given, folder, step=5, kill=signal.SIGKILL) == -signal.SIGKILL
    assert run("sft", given, folder) == 0
    assert curve(folder) == whole
    without = {name: item for name, item in given.items() if not name.startswith("pretrain")}
    assert run("sft", without, tmp_path / "without") == 0
    assert "sft/text_loss" not in curve(tmp_path / "without")[0][1]


def test_a_share_below_one_piece_and_pieces_longer_than_the_model_are_refused_by_name(
    world: World, snapshots: Snapshots, tmp_path: Path
) -> None:
    little = build(values(world, snapshots, pretraining_fraction=0.05))
    with pytest.raises(ConfigError, match="pretraining_fraction"):
        Plan.of(little, material(little), is_measured=False)
    assert run("sft", values(world, snapshots, pretrain_sequence_tokens=65), tmp_path / "run") == 1
    words = "{}: must be at most 64, the model's positions, not 65"
    assert words.format("pretrain_sequence_tokens") in (tmp_path / "run" / "log.txt").read_text()
    ptx = {"pretraining_text": str(world.text), "ptx_coef": 1.0, "ptx_sequence_tokens": 65}
    assert run("ppo", world.ppo | ptx, tmp_path / "ppo") == 1
    assert words.format("ptx_sequence_tokens") in (tmp_path / "ppo" / "log.txt").read_text()


def test_pieces_of_text_are_marked_as_such() -> None:
    assert all(piece.is_text for piece in batches.text_batch([1, 2, 3, 4], num_pieces=2, length=2, step=0, seed=0))
    assert not Example([1], [2]).is_text
