"""Configs describe themselves for a form, and refuse what cannot run by the field's name."""

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from training.contract import configs
from training.contract.configs import ConfigError

PATHS = {
    "sft": {"init_model": "tiny", "dataset": "d"},
    "reward": {"init_model": "m", "dataset": "d"},
    "ppo": {"policy_model": "m", "reward_model": "r", "prompts": "p", "pretraining_text": "t"},
    "generate": {"model": "m", "prompts": "p"},
    "evaluate": {"reward_model": "r", "dataset": "d"},
    "score": {"responses": "s", "reward_model": "r"},
    "curve": {"init_model": "m", "chosen": "c", "control": "d"},
}
FREE_TEXT = ("server_url", "server_model")


@pytest.mark.parametrize("stage", configs.STAGES)
@pytest.mark.parametrize("name", configs.PRESETS)
def test_every_preset_is_complete_and_runs_once_its_paths_are_given(stage: str, name: str) -> None:
    values = configs.preset(stage, name)
    config = configs.build(stage, values | PATHS[stage])
    given = {spec.name for spec in configs.specs(type(config)) if not spec.input}
    assert given <= set(values)
    assert configs.dump(config).items() >= values.items() - PATHS[stage].items()


@pytest.mark.parametrize("stage", configs.STAGES)
def test_every_field_tells_a_form_what_it_needs(stage: str) -> None:
    for spec in configs.specs(configs.STAGES[stage]):
        assert spec.type in (int, float, str, bool), spec.name
        assert len(spec.help) > 10, spec.name
        assert spec.help.endswith((".", ")")), spec.name
        assert spec.group in configs.GROUPS, spec.name
        assert not spec.input or spec.input in configs.INPUTS, spec.name
        if spec.type in (int, float):
            assert spec.min is not None, spec.name
            assert spec.max is not None, spec.name
        if spec.type is str:
            assert spec.input or spec.choices or spec.name in FREE_TEXT, spec.name


def test_the_paper_preset_has_the_papers_numbers() -> None:
    sft, reward, ppo = (configs.preset(stage, "paper") for stage in ("sft", "reward", "ppo"))
    assert (sft["num_epochs"], sft["learning_rate"], sft["batch_size"], sft["dropout"]) == (16, 9.65e-6, 32, 0.2)
    assert (sft["final_lr_fraction"], sft["warmup_steps"]) == (0.1, 0)
    assert (reward["num_epochs"], reward["learning_rate"], reward["batch_size"]) == (1, 9e-6, 64)
    assert (ppo["num_episodes"], ppo["batch_size"], ppo["minibatch_size"], ppo["num_inner_epochs"]) == (
        256_000,
        512,
        64,
        1,
    )
    assert (ppo["kl_coef"], ppo["ptx_coef"], ppo["ptx_examples_per_episode"]) == (0.02, 27.8, 8)
    assert (ppo["clip_range"], ppo["ema_decay"], ppo["temperature"]) == (0.2, 0.992, 1.0)
    assert (ppo["value_learning_rate"], ppo["warmup_iterations"]) == (9e-6, 10)


@pytest.mark.parametrize(
    ("stage", "values", "field"),
    [
        ("sft", {"dataset": ""}, "dataset"),
        ("sft", {"batch_size": 0}, "batch_size"),
        ("sft", {"batch_size": 8.0}, "batch_size"),
        ("sft", {"batch_size": True}, "batch_size"),
        ("sft", {"batch_size": "8"}, "batch_size"),
        ("sft", {"learning_rate": float("nan")}, "learning_rate"),
        ("sft", {"learning_rate": 2.0}, "learning_rate"),
        ("sft", {"lerning_rate": 1e-3}, "lerning_rate"),
        ("sft", {"device": "tpu"}, "device"),
        ("sft", {"validation_prompts": "p"}, "reward_model"),
        ("sft", {"reward_model": "r"}, "validation_prompts"),
        ("sft", {"init_model": "m", "pretraining_fraction": 0.1}, "pretraining_text"),
        ("sft", {"tiny_width": 200}, "tiny_width"),
        ("sft", {"max_prompt_tokens": 500}, "tiny_context"),
        ("sft", {"pretrain_sequence_tokens": 1024}, "tiny_context"),
        ("reward", {"divisor": "pairs"}, "divisor"),
        ("ppo", {"minibatch_size": 5}, "minibatch_size"),
        ("ppo", {"num_episodes": 8}, "num_episodes"),
        ("ppo", {"ptx_coef": 27.8, "pretraining_text": ""}, "pretraining_text"),
        ("ppo", {"whiten_rewards": 1}, "whiten_rewards"),
        ("generate", {"temperature": 0.0}, "temperature"),
        ("generate", {"model": ""}, "model"),
        ("generate", {"backend": "openai", "server_model": "m"}, "server_url"),
        ("generate", {"backend": "openai", "server_url": "file:///etc/passwd", "server_model": "m"}, "server_url"),
        ("generate", {"backend": "openai", "server_url": "http://127.0.0.1/v1"}, "server_model"),
        ("evaluate", {"dataset": ""}, "dataset"),
        ("evaluate", {"truthfulqa": "f"}, "model"),
        ("evaluate", {"reward_model": ""}, "reward_model"),
        ("evaluate", {"prompts": "p"}, "model"),
        ("evaluate", {"harmful_prompts": "h"}, "model"),
        ("sft", {"lora_rank": 8}, "lora_rank"),
        ("score", {"reward_model_3": "r"}, "reward_model_3"),
        ("curve", {"control": ""}, "control"),
    ],
)
def test_a_config_that_cannot_run_names_its_field(stage: str, values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configs.build(stage, configs.preset(stage, "tiny-cpu") | PATHS[stage] | values)
    assert caught.value.field == field


def test_a_whole_number_is_taken_where_a_float_is_wanted() -> None:
    config = configs.build("ppo", PATHS["ppo"] | {"temperature": 1})
    assert configs.dump(config)["temperature"] == 1.0
    assert isinstance(configs.dump(config)["temperature"], float)


def test_options_can_be_checked_before_the_paths_are_known() -> None:
    assert configs.check_options("sft", {"learning_rate": 1}) == {"learning_rate": 1.0}
    with pytest.raises(ConfigError) as caught:
        configs.check_options("sft", {"num_epochs": 0})
    assert caught.value.field == "num_epochs"


def test_a_config_cannot_be_changed() -> None:
    config = configs.build("reward", PATHS["reward"])
    with pytest.raises(FrozenInstanceError):
        config.seed = 1  # type: ignore[misc]


def test_a_config_file_is_read_back_as_it_was_dumped(tmp_path: Path) -> None:
    config = configs.build("ppo", configs.preset("ppo", "small-gpu") | PATHS["ppo"])
    file = tmp_path / "config.json"
    file.write_text(json.dumps(configs.dump(config)))
    assert configs.load("ppo", file) == config


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_config_file_that_is_not_an_object_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ConfigError):
        configs.load("sft", file)


def test_a_missing_config_file_an_unknown_stage_and_an_unknown_preset_are_config_errors(tmp_path: Path) -> None:
    for call in (
        lambda: configs.load("sft", tmp_path / "none.json"),
        lambda: configs.build("distil", {}),
        lambda: configs.preset("sft", "huge"),
    ):
        with pytest.raises(ConfigError):
            call()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "repo"),
        ({"repo": "a/b", "folder": "inputs/folder"}, "repo"),
        ({"repo": "../b"}, "repo"),
        ({"repo": "a/b/c"}, "repo"),
        ({"repo": "a/b", "revision": "../main"}, "revision"),
        ({"repo": "a/b", "revision": "a..b"}, "revision"),
        ({"repo": "a/b", "max_gib": 0.0}, "max_gib"),
    ],
)
def test_a_model_is_fetched_from_one_place_that_is_named_rightly(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configs.build("fetch", values)
    assert caught.value.field == field
    assert configs.build("fetch", {"repo": "owner/small-1.5", "revision": "refs/pr/1"})


def test_the_stages_beside_the_loop_are_not_offered_as_some_of_it() -> None:
    assert set(configs.EVERY_STAGE) - set(configs.STAGES) == {"fetch", "talk"}


def test_a_conversation_is_with_one_model_or_with_two_different_ones() -> None:
    for values, field in (({}, "first_model"), ({"first_model": "a", "second_model": "a"}, "second_model")):
        with pytest.raises(ConfigError) as caught:
            configs.build("talk", values)
        assert caught.value.field == field
    assert configs.build("talk", {"first_model": "a", "second_model": "b"})
