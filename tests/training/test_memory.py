"""The memory estimate against numbers worked by hand, what autograd keeps, and the peak of a run's tensors."""

import gc
import re
import weakref
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
import torch
import transformers

from tests.training.test_tree import CONFIGS
from tests.training.tiny_world import ROOT
from training.contract.configs import SFTConfig
from training.engine import gelu, memory, models, packing, scoring, tree
from training.engine.batches import Element
from training.engine.memory import Memory, Plan, Shape, needed
from training.engine.optim import adamw
from training.engine.rewards import tree_scores
from training.engine.text import byte_text

SMALL = Shape(
    num_parameters=1000,
    in_matrices=700,
    num_layers=2,
    width=10,
    inner=40,
    num_heads=2,
    heads=10,
    normed_heads=0,
    is_gated=False,
    vocabulary=50,
    adapter_width=300,
)


def test_full_training_in_fp32_worked_by_hand() -> None:
    found = needed(SMALL, Plan(stage="sft", tokens=100, scored=60, is_bf16=False))
    # per token and layer: norms and what matrices read 2·(4+4)·10, attention 5·4·10, feed-forward 2·4·40: 680 bytes;
    # where the last layer is not read: norm and what the matrix reads (4+4)·10, keys and values 2·4·10: 160 bytes;
    # the norm behind it: 4·10 bytes
    assert found == Memory(
        weights=4000,
        gradients=4000,
        optimizer=8000,
        average=0,
        activations=100 * 680 + 100 * 160 + 60 * 680 + 100 * 40,
        logits=60 * 50 * 16,
        update=0,
    )
    assert found.total == 16_000 + 128_800 + 48_000


def test_attention_by_rows_keeps_who_looks_how_much_at_whom() -> None:
    plan = Plan(stage="sft", tokens=100, scored=60, is_bf16=False)
    more = needed(SMALL, replace(plan, row_tokens=25)).activations - needed(SMALL, plan).activations
    assert more == 4 * 2 * 25 * (100 + 60)  # fp32, both heads, all tokens of the first layer and those read of the last


@pytest.mark.parametrize("changes", [{"is_packed": False}, {"scored": 75}])
def test_a_last_layer_that_computes_every_token_counts_whole(changes: dict[str, Any]) -> None:
    plan = Plan(**{"stage": "sft", "tokens": 100, "scored": 60, "is_bf16": False} | changes)
    assert needed(SMALL, plan).activations == 2 * 100 * 680 + 100 * 40


def test_bf16_keeps_copies_of_the_weights_and_halves_what_matrices_read() -> None:
    found = needed(SMALL, Plan(stage="reward", tokens=100, scored=60))
    # 2·(4+2)·10 + 5·2·10 + 2·2·40 = 380 bytes, where not read (4+2)·10 + 2·2·10 = 100
    assert found.activations == 100 * 380 + 100 * 100 + 60 * 380 + 100 * 40 + 2000
    assert found.logits == 0


def test_recomputed_activations_are_the_inputs_of_the_layers_and_one_layer() -> None:
    found = needed(SMALL, Plan(stage="sft", tokens=100, scored=60, is_bf16=False, recomputes=True))
    assert found.activations == 4 * 10 * 100 * 2 + 100 * 680 + 100 * 40


def test_adapters_need_gradients_and_moments_of_their_own_alone() -> None:
    found = needed(SMALL, Plan(stage="sft", tokens=100, scored=60, lora_rank=3))
    assert (found.weights, found.gradients, found.optimizer) == (4 * (1000 + 900), 4 * 900, 8 * 900)


def test_ppo_has_four_models_two_of_which_learn_and_with_adapters_two_models() -> None:
    full = needed(SMALL, Plan(stage="ppo", tokens=100, scored=60))
    assert (full.weights, full.gradients, full.optimizer, full.average) == (
        8000 + 2 * (4 * 1000 - 2 * 700),  # the matrices of the frozen ones in bf16
        8000,
        16_000,
        4000,
    )
    assert needed(SMALL, Plan(stage="ppo", tokens=100, scored=60, is_bf16=False)).weights == 16_000
    shared = needed(SMALL, Plan(stage="ppo", tokens=100, scored=60, lora_rank=3))
    assert shared.weights == 2 * 4 * (1000 + 900)
    assert shared.average == 4 * 900


def test_a_step_of_the_optimiser_counts_when_it_needs_more_than_the_forward_pass() -> None:
    large = Shape(**{**vars(SMALL), "num_parameters": 10**9})
    plan = Plan(stage="reward", tokens=1, scored=1, is_bf16=False, recomputes=True, is_fused=False)
    assert needed(large, plan).total == 16 * 10**9 + 4 * 10**9
    assert needed(large, replace(plan, is_fused=True)).total == pytest.approx(16 * 10**9, rel=1e-5)


def test_recomputed_or_not_the_forward_pass_holds_bf16_copies_of_the_weights_that_learn() -> None:
    large = Shape(**{**vars(SMALL), "num_parameters": 10**9})
    plan = Plan(stage="reward", tokens=100, scored=60, recomputes=True)
    assert needed(large, plan).activations == 4 * 10 * 100 * 2 + 2 * 10**9
    assert needed(large, replace(plan, lora_rank=3)).activations < 10**6  # frozen ones are cast anew for each product


@pytest.mark.parametrize("way", ["values", "end scores", "tree"])
@pytest.mark.parametrize("is_bf16", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
def test_activations_are_what_autograd_keeps(family: str, is_bf16: bool, way: str) -> None:
    """Of values at 240 of 400 tokens, of scores at 4 of 400, of a tree of 360 tokens that is read at 5."""
    model = two_layers(family)
    kept = bytes_kept(model, way, is_bf16=is_bf16)
    tokens, scored = {"values": (400, 240), "end scores": (400, 4), "tree": (360, 5)}[way]
    row_tokens = 0 if way == "tree" or is_bf16 else 100
    plan = Plan(stage="reward", tokens=tokens, scored=scored, is_bf16=is_bf16, row_tokens=row_tokens)
    # under autocast a tree on a CPU is computed with masks, which keeps more
    tolerance = 0.12 if way == "tree" and is_bf16 else 0.06
    assert needed(memory.shape_of(model), plan).activations == pytest.approx(kept, rel=tolerance)


def two_layers(family: str) -> Any:
    config = CONFIGS[family]()
    width = {"n_embd": 64} if family == "gpt2" else {"hidden_size": 64, "intermediate_size": 160}
    for name, value in (width | {"head_dim": 16} if family == "qwen3" else width).items():
        setattr(config, name, value)
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    gelu.fuse(model)
    return model


class Held:
    """What the graph holds in place of a tensor: it lives as long as its part of the graph."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


def bytes_kept(model: Any, way: str, *, is_bf16: bool) -> int:
    """Bytes that the graph of one forward pass holds when it is done, besides the weights themselves."""
    alive: weakref.WeakSet[Held] = weakref.WeakSet()

    def keep(tensor: torch.Tensor) -> Held:
        held = Held(tensor)
        alive.add(held)
        return held

    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda held: held.tensor), autocast:
        found = scores(model, way)
    gc.collect()  # the last layer's first run ends with an exception, whose frames hold a graph that nobody wants
    assert found.requires_grad
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages = {storage.data_ptr(): storage for storage in (held.tensor.untyped_storage() for held in alive)}
    return sum(storage.nbytes() for address, storage in storages.items() if address not in weights)


def scores(model: Any, way: str) -> torch.Tensor:
    if way == "tree":
        tree.enable(model)
        responses = tuple([2] * 60 for _ in range(5))
        element = Element(prompt_id="", split="", category="", prompt=[1] * 60, responses=responses, rankings=())
        return tree_scores(model, [element], pad_id=0)
    packing.enable(model)
    rows = scoring.episodes([[1] * 40] * 4, [[2] * 60] * 4, pad_token_id=0)
    return scoring.response_values(model, rows) if way == "values" else scoring.end_scores(model, rows)


@pytest.mark.slow
def test_the_estimate_is_the_peak_of_all_tensors_of_a_run_on_a_cpu() -> None:
    """Counted at torch's allocator. What the process holds besides depends on what else runs on the machine."""
    text = byte_text()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        model = models.build_tiny(text, context=128, seed=0, num_layers=6, width=512, num_heads=8)
        packing.enable(model)
        optimizer = adamw(model, SFTConfig(init_model="m", dataset="d"))
        rows = scoring.episodes([[1] * 64] * 24, [[2] * 64] * 24, pad_token_id=text.pad_id)
        for _ in range(2):
            for _ in range(2):
                (-scoring.response_logprobs(model, rows, temperature=1.0).mean()).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    plan = Plan(stage="sft", tokens=24 * 128, scored=24 * 64, is_bf16=False, row_tokens=128)
    assert needed(memory.shape_of(model), plan).total == pytest.approx(peak_bytes(profile), rel=0.03)


def peak_bytes(profile: Any) -> int:
    """The most that tensors held at one time."""
    events = (event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]")
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(changes))


def test_the_table_of_the_page_is_the_one_that_is_computed() -> None:
    page = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    assert memory.table() in page


def test_parameters_are_counted_without_making_a_model() -> None:
    assert re.search(r"\| 8B \(Llama 3\) \| sft \| 29\.9 \|", memory.table())  # 8.03e9 weights of 4 bytes
    text = byte_text()
    tiny = models.build_tiny(text, num_layers=2, width=32, num_heads=2, context=64, seed=0)
    assert memory.shape_of(tiny).num_parameters == models.num_parameters(tiny)
