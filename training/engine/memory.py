"""How much memory a training run needs: weights, gradients, optimiser, activations.

    python -m training.engine.memory        the table of docs/memory.md

Weights, gradients and Adam's two moments are fp32 (4 bytes each); under bf16 the forward pass keeps bf16 copies of the
weights until its backward pass. What a layer keeps per token is counted from what its operations save for the backward
pass, with attention that never holds the scores of all tokens; the last one keeps most of it for the tokens alone that
are read (`training.engine.last_layer`). It is an estimate of what torch allocates, without the CUDA context and
without fragmentation; docs/memory.md compares it with what was measured.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.pytorch_utils import Conv1D

from training.engine.packing import FEW
from training.engine.scoring import CHUNK_TOKENS

FP32: Final = 4
BF16: Final = 2
GIB: Final = 2**30
LOGIT_BYTES: Final = 16
"""Per logit of a chunk at the peak of its backward pass: fp32 logits, the same over the temperature, two gradients."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What of a model decides its memory. `in_matrices` is how many of its parameters the linear layers of its body
    have, with the unembedding where that is not the embedding. `heads` is the width of all `num_heads` attention heads,
    `normed_heads` that of those which have a norm of their own (queries and keys of Qwen 3 and Gemma 3),
    `adapter_width` is Σ (inputs + outputs) over the linear layers of its body."""

    num_parameters: int
    in_matrices: int
    num_layers: int
    width: int
    inner: int
    num_heads: int
    heads: int
    normed_heads: int
    is_gated: bool
    vocabulary: int
    adapter_width: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a run computes. `tokens` stand in one forward pass. Of `scored` the last hidden state is read, by unembedding
    or scalar head: all tokens of the responses, or, for a reward model, their end tokens alone. `is_packed`: rows are
    packed, or trees; where they are not, the last layer computes every token. `row_tokens`: the length of packed rows
    whose attention keeps who looks how much at whom (`training.engine.row_attention`); 0 where it does not. `is_fused`:
    AdamW takes one pass over weights and moments, as it does unless FSDP spreads them."""

    stage: str
    tokens: int
    scored: int
    is_packed: bool = True
    row_tokens: int = 0
    lora_rank: int = 0
    is_bf16: bool = True
    recomputes: bool = False
    is_fused: bool = True


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes. The optimiser's step and the forward pass do not come at the same time: the larger one counts."""

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    logits: int
    update: int

    @property
    def total(self) -> int:
        kept = self.weights + self.gradients + self.optimizer + self.average
        return kept + max(self.activations + self.logits, self.update)


def shape_of(model: Any) -> Shape:
    """The shape of a transformers model, which may be on the meta device."""
    config = model.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * config.hidden_size
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    names = [name for name, _ in model.named_modules()]
    linear = [module for module in model.base_model.modules() if _is_linear(module)]
    head = model.get_output_embeddings()
    is_tied = head is None or head.weight is model.get_input_embeddings().weight
    return Shape(
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        in_matrices=sum(_num_parameters(module) for module in (*linear, *(() if is_tied else (head,)))),
        num_layers=config.num_hidden_layers,
        width=config.hidden_size,
        inner=inner,
        num_heads=heads,
        heads=head_size * heads,
        normed_heads=head_size * (heads + key_heads) if any(name.endswith("q_norm") for name in names) else 0,
        is_gated=any(name.endswith("gate_proj") for name in names),
        vocabulary=config.vocab_size,
        adapter_width=sum(sum(module.weight.shape) for module in linear),
    )


def needed(shape: Shape, plan: Plan) -> Memory:
    """What a run of `plan` needs on each of its processes. PPO learns two models, one after the other, and keeps two
    frozen ones, whose matrices are stored as they are computed with; with adapters the frozen ones are the same
    weights."""
    num_models = 2 if plan.stage == "ppo" else 1
    num_frozen = 2 if plan.stage == "ppo" and not plan.lora_rank else 0
    adapters = plan.lora_rank * shape.adapter_width
    learned = adapters if plan.lora_rank else shape.num_parameters
    frozen = FP32 * shape.num_parameters - ((FP32 - BF16) * shape.in_matrices if plan.is_bf16 else 0)
    scored = 0 if plan.stage == "reward" else min(plan.scored, CHUNK_TOKENS)
    return Memory(
        weights=num_models * FP32 * (shape.num_parameters + adapters) + num_frozen * frozen,
        gradients=num_models * FP32 * learned,
        optimizer=num_models * 2 * FP32 * learned,
        average=FP32 * learned if plan.stage == "ppo" else 0,
        activations=_activations(shape, plan),
        logits=scored * shape.vocabulary * LOGIT_BYTES,
        update=0 if plan.is_fused else FP32 * learned,  # Adam's denominators of all weights at once
    )


def activations_per_token(shape: Shape, *, is_bf16: bool) -> int:
    """Bytes that one layer keeps per token for its backward pass.

    Attention keeps queries, keys and values of all heads, its output and a copy of that. A plain block (GPT-2) keeps
    the input of both fused norms, what its four matrices read, and for its GELU as much as that reads. A gated block
    (Llama and kin) keeps more: a norm of several operations keeps its input and the normalised numbers in fp32, and
    under autocast every matrix keeps a bf16 copy of its own of what it reads. Norms of queries and keys keep the same
    as those.
    """
    small = BF16 if is_bf16 else FP32
    attention = 5 * small * shape.heads
    if shape.is_gated:
        norms = 2 * 2 * FP32 * shape.width + 2 * FP32 * shape.normed_heads
        read = 5 * BF16 * shape.width if is_bf16 else 2 * FP32 * shape.width
        return norms + read + attention + 4 * small * shape.inner
    return 2 * (FP32 + small) * shape.width + attention + 2 * small * shape.inner


def _activations(shape: Shape, plan: Plan) -> int:
    norm = (2 if shape.is_gated else 1) * FP32 * shape.width * plan.tokens  # behind the last layer
    per_token = activations_per_token(shape, is_bf16=plan.is_bf16) + FP32 * shape.num_heads * plan.row_tokens
    layer = last = per_token * plan.tokens
    if plan.is_packed and plan.scored < FEW * plan.tokens:
        last = _keys_and_values_per_token(shape, is_bf16=plan.is_bf16) * plan.tokens + per_token * plan.scored
    if plan.recomputes:
        # the inputs of all layers; and forward the bf16 copies of weights that learn, backward one layer whole and of
        # those copies that of the unembedding
        head = BF16 * shape.vocabulary * shape.width if plan.is_bf16 and plan.stage != "reward" else 0
        copies = BF16 * shape.num_parameters if plan.is_bf16 and not plan.lora_rank else 0
        return FP32 * shape.width * plan.tokens * shape.num_layers + max(layer + norm + head, copies)
    return layer * (shape.num_layers - 1) + last + norm + (BF16 * shape.num_parameters if plan.is_bf16 else 0)


def _keys_and_values_per_token(shape: Shape, *, is_bf16: bool) -> int:
    """Bytes that a last layer keeps per token that is not read: what its keys and values are made of, and they
    themselves."""
    small = BF16 if is_bf16 else FP32
    if not shape.is_gated:
        return (FP32 + small) * shape.width + 2 * small * shape.heads
    norms = 2 * FP32 * shape.width + 2 * FP32 * max(0, shape.normed_heads - shape.heads)
    read = 2 * BF16 * shape.width if is_bf16 else FP32 * shape.width
    return norms + read + 2 * small * shape.heads


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _is_linear(module: Any) -> bool:
    return isinstance(module, nn.Linear | Conv1D)


SIZES: Final[dict[str, Any]] = {
    "0.1B (GPT-2)": GPT2Config,
    "0.5B (Qwen2.5)": lambda: Qwen2Config(**_of(896, 4864, 24, 14, 2), vocab_size=151_936, tie_word_embeddings=True),
    "1.5B (Qwen2.5)": lambda: Qwen2Config(**_of(1536, 8960, 28, 12, 2), vocab_size=151_936, tie_word_embeddings=True),
    "4B (Qwen3)": lambda: Qwen3Config(
        **_of(2560, 9728, 36, 32, 8), head_dim=128, vocab_size=151_936, tie_word_embeddings=True
    ),
    "8B (Llama 3)": lambda: LlamaConfig(**_of(4096, 14_336, 32, 32, 8), vocab_size=128_256),
}
"""Shapes of common models, for the table; their names are trademarks of their makers."""


def _of(width: int, inner: int, layers: int, heads: int, kv_heads: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    }


def table() -> str:
    """The table of docs/memory.md: GiB for each size and stage, 8,192 tokens a forward pass, bf16."""
    head = "| size | stage | weights | gradients | Adam | activations | total | recomputed | LoRA 16 | both |"
    lines = [head, "|---|---|" + "---:|" * 8]
    for size, config in SIZES.items():
        with torch.device("meta"):
            shape = shape_of(AutoModelForCausalLM.from_config(config()))
        for stage in ("sft", "reward", "ppo"):
            lines.append(f"| {size} | {stage} | " + " | ".join(_cells(shape, stage)) + " |")
    return "\n".join(lines)


def _cells(shape: Shape, stage: str) -> list[str]:
    def plan(**changes: Any) -> Memory:
        return needed(shape, Plan(stage=stage, tokens=8192, scored=64 if stage == "reward" else 4096, **changes))

    full = plan()
    parts = [full.weights, full.gradients, full.optimizer + full.average, full.activations + full.logits, full.total]
    others = [plan(recomputes=True), plan(lora_rank=16), plan(lora_rank=16, recomputes=True)]
    return [f"{value / GIB:.1f}" for value in [*parts, *(other.total for other in others)]]


if __name__ == "__main__":
    print(table())
