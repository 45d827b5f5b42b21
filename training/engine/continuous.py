"""Sampling by transformers' continuous batching: a paged cache in which a finished sequence makes room for the next.

For a GPU and many prompts at a time, where the paged attention kernels earn what they cost. On a CPU our own cached
loop (`training.engine.rollout`) is faster by an order of magnitude. Samples of a prompt share its prefill here, too;
what they say depends on the seed and on the whole batch, because all sequences draw from one stream of chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from training.engine.rollout import SamplingRule


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One sample: its tokens with the end token, if it has one; or why there is none."""

    tokens: list[int]
    has_end: bool
    error: str = ""


def sample_all(
    model: Any, prompts: Sequence[Sequence[int]], *, rule: SamplingRule, num_samples: int, seed: int
) -> list[Sampled]:
    """`num_samples` responses of each prompt, given as token ids; entry n·K + k belongs to prompt n. Whatever the
    engine failed to answer, or did not return, is an entry with an error: there are always N·K of them."""
    torch.manual_seed(seed)
    found = model.generate_batch(
        inputs=[list(prompt) for prompt in prompts],
        generation_config=_generation_config(rule, num_samples),
        progress_bar=False,
    )
    by_prompt = _by_prompt(found, num_prompts=len(prompts))
    missing = Sampled(tokens=[], has_end=False, error="continuous batching returned nothing for this sample")
    return [
        _sampled(outputs[index], rule) if index < len(outputs) else missing
        for outputs in by_prompt
        for index in range(num_samples)
    ]


def _generation_config(rule: SamplingRule, num_samples: int) -> GenerationConfig:
    chance = {"temperature": rule.temperature, "top_p": rule.top_p, "top_k": 0} if rule.temperature else {}
    return GenerationConfig(
        max_new_tokens=rule.max_new_tokens,
        do_sample=bool(rule.temperature),
        eos_token_id=rule.end_token_id,
        pad_token_id=rule.pad_token_id,
        num_return_sequences=num_samples,
        **chance,
    )


def _by_prompt(found: Mapping[str, Any], *, num_prompts: int) -> list[list[Any]]:
    """Outputs by the number of their prompt, in the order of their names: `req_3`, then `req_3__child#0`, a copy."""
    outputs: list[list[Any]] = [[] for _ in range(num_prompts)]
    for name in sorted(found):
        outputs[int(name.removeprefix("req_").partition("__")[0])].append(found[name])
    return outputs


def _sampled(output: Any, rule: SamplingRule) -> Sampled:
    tokens = list(output.generated_tokens)
    if output.error or not tokens:
        return Sampled(tokens=[], has_end=False, error=output.error or "continuous batching gave an empty answer")
    return Sampled(tokens=tokens, has_end=tokens[-1] == rule.end_token_id)
