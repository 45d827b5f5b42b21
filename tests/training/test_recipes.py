"""The config files in training/recipes: each is right, leads to the next, and the paper's say what the paper says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from training.contract import configs
from training.contract.configs import OVERRIDES
from training.engine import memory

RECIPES = Path(configs.__file__).parents[2] / "recipes"
FILES = sorted(RECIPES.glob("**/*.json"))
LOOPS = sorted(path for path in RECIPES.iterdir() if (path / "sft.json").is_file())
LOOP = ("sft", "reward", "sft-for-ppo", "ppo", "generate", "evaluate")
PAPER = RECIPES / "paper-1.3b"


def stage_of(path: Path) -> str:
    return path.stem.split("-")[0]


def values(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_there_is_a_recipe_for_a_cpu_for_one_gpu_and_for_the_paper() -> None:
    assert {path.name for path in LOOPS} == {"one-gpu-0.5b", "one-gpu-1.5b", "one-gpu-8b", "paper-1.3b"}
    assert {path.stem for path in RECIPES.glob("*-tiny.json")} == {f"{stage}-tiny" for stage in configs.STAGES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_recipe_is_a_config_that_its_stage_takes(path: Path) -> None:
    configs.load(stage_of(path), path)


@pytest.mark.parametrize("folder", LOOPS, ids=lambda folder: folder.name)
def test_every_stage_reads_what_an_earlier_one_of_its_loop_has_left(folder: Path) -> None:
    left: set[str] = set()
    for name in LOOP:
        read = {str(value) for value in values(folder / f"{name}.json").values() if str(value).startswith("runs/")}
        assert read <= left, name
        left.add(f"runs/{name}/outputs/model")


@pytest.mark.parametrize("folder", LOOPS, ids=lambda folder: folder.name)
def test_the_model_that_ppo_starts_from_has_seen_pretraining_text_for_two_epochs(folder: Path) -> None:
    plain, mixed = values(folder / "sft.json"), values(folder / "sft-for-ppo.json")
    assert (mixed["num_epochs"], mixed["pretraining_fraction"]) == (2, 0.1)
    changed = {name for name in mixed if mixed[name] != plain.get(name)}
    assert changed - {"num_epochs"} == {"pretraining_fraction", "pretraining_text"}


@pytest.mark.parametrize("path", sorted(PAPER.glob("*.json")), ids=lambda path: path.stem)
def test_the_papers_recipes_say_all_that_the_paper_preset_says(path: Path) -> None:
    preset = {name: value for name, value in OVERRIDES[stage_of(path)]["paper"].items() if name != "tiny_context"}
    if path.stem == "sft-for-ppo":
        preset["num_epochs"] = 2
    if path.stem in ("sft", "sft-for-ppo"):
        del preset["selection_max_prompts"]  # no reward model selects these
    said = configs.dump(configs.load(stage_of(path), path))
    assert {name: said[name] for name in preset} == preset


SIZES = {"one-gpu-0.5b": "0.5B (Qwen2.5)", "one-gpu-1.5b": "1.5B (Qwen2.5)", "one-gpu-8b": "8B (Llama 3)"}


@pytest.mark.parametrize("folder", [path for path in LOOPS if path.name in SIZES], ids=lambda folder: folder.name)
@pytest.mark.parametrize("name", ["sft", "reward", "ppo"])
def test_one_gpu_recipes_fit_into_80_gigabytes_by_the_table_of_memory(folder: Path, name: str) -> None:
    config = configs.dump(configs.load(name, folder / f"{name}.json"))
    row = config["max_prompt_tokens"] + config.get("max_response_tokens", config.get("max_new_tokens", 0))
    tokens = config.get("max_forward_tokens") or config["micro_batch_size"] * row
    with torch.device("meta"):
        shape = memory.shape_of(AutoModelForCausalLM.from_config(memory.SIZES[SIZES[folder.name]]()))
    plan = memory.Plan(
        stage=name,
        tokens=tokens,
        scored=tokens // 2,
        lora_rank=config["lora_rank"],
        recomputes=config["gradient_checkpointing"],
    )
    assert memory.needed(shape, plan).total < 0.95 * 78 * memory.GIB  # of 78 GiB; the rest is CUDA's and fragmentation
