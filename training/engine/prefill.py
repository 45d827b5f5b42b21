"""What sampling starts from: the prompts' keys and values, and the logits of the first new token.

A model for which `training.engine.packing` is enabled reads the prompts as one packed row without padding, and its last
layer computes their last tokens alone; keys and values are then laid out as if the prompts had been padded on the left.
The others read padded prompts. What they say is the same up to rounding.

Shape legend: N prompts, P tokens of the longest one, T tokens of all of them, H heads, D head size, V vocabulary. Masks
are boolean and True means keep.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer

from training.engine import packing
from training.engine.scoring import positions_from_mask


@dataclass(frozen=True, kw_only=True)
class Prefill:
    """`cache` holds keys and values [N, H, P, D] of each layer; where `mask_NP` is False, anything."""

    cache: Any
    mask_NP: Tensor
    logits_NV: Tensor


def prefill(model: Any, prompt_NP: Tensor, mask_NP: Tensor) -> Prefill:
    """Read prompts that are padded on the left."""
    if packing.is_enabled(model):
        cache = DynamicCache(config=model.config)
        if all(type(layer) is DynamicLayer for layer in cache.layers):  # a window would keep the last of all tokens
            return _packed(model, prompt_NP, mask_NP, cache)
    output = model(
        input_ids=prompt_NP,
        attention_mask=mask_NP.long(),
        position_ids=positions_from_mask(mask_NP),
        use_cache=True,
        logits_to_keep=1,
    )
    return Prefill(cache=output.past_key_values, mask_NP=mask_NP, logits_NV=output.logits[:, -1])


def _packed(model: Any, prompt_NP: Tensor, mask_NP: Tensor, cache: Any) -> Prefill:
    lengths_N1 = mask_NP.sum(dim=1, keepdim=True)
    rows = packing.rows(prompt_NP, mask_NP, places_BR=lengths_N1 - 1, read_BR=torch.ones_like(lengths_N1).bool())
    output = model(**rows.arguments(), past_key_values=cache, use_cache=True, logits_to_keep=rows.wanted_N)
    width = mask_NP.shape[1]
    back_P = torch.arange(width, device=mask_NP.device) - width
    place_NP = ((rows.layout.starts_B[:, None] + lengths_N1) + back_P).clamp_min(0)
    for layer in cache.layers:
        layer.keys, layer.values = (_padded(tensor, place_NP) for tensor in (layer.keys, layer.values))
    return Prefill(cache=cache, mask_NP=mask_NP, logits_NV=output.logits[0])


def _padded(tensor_1HTD: Tensor, place_NP: Tensor) -> Tensor:
    """Tokens of a packed row at these places, [N, H, P, D]."""
    num_heads, _, size = tensor_1HTD.shape[1:]
    found = tensor_1HTD[0].index_select(1, place_NP.flatten())
    return found.view(num_heads, *place_NP.shape, size).transpose(0, 1)
