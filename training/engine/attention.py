"""Attention over parts of a packed row, and which models may read one.

Shape legend: B rows, H heads, Q queries, D head size. Masks are boolean, where True means keep,
or what is added to scores.
"""

from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

FAMILIES: Final = frozenset(
    {"gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text"}  # each compared with plain rows
)
ATTENTION_ONLY: Final = frozenset({"full_attention", "sliding_attention"})


def why_not(model: Any) -> str:
    """Why this model cannot read packed rows and trees, in words for the log; empty when it can."""
    config = model.config.get_text_config()
    if config.model_type not in FAMILIES:
        return f"packed rows were not compared with padded ones for {config.model_type} models"
    others = set(getattr(config, "layer_types", None) or ()) - ATTENTION_ONLY
    return f"layers of kind {', '.join(sorted(others))} would leak between rows" if others else ""


def for_all_heads(tensor: Tensor, query: Tensor) -> Tensor:
    """Keys or values of grouped heads, once for each head of the query."""
    num_groups = query.shape[1] // tensor.shape[1]
    return tensor.repeat_interleave(num_groups, dim=1) if num_groups > 1 else tensor


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, scaling: float | None, softcap: float | None
) -> Tensor:
    """Softmax attention, [B, H, Q, D]; `mask` None: causal. `softcap` squeezes scores by tanh (Gemma 2)."""
    if softcap is None:
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling)
    if mask is None:
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = softcap * torch.tanh(scores / softcap)
    is_boolean = mask.dtype == torch.bool
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min) if is_boolean else scores + mask
    return torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(query.dtype) @ value
