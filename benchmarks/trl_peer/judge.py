"""A neutral judge: samples by transformers' own generate, the reward model's score, the true preference, the exact KL.

It takes any policy folder and uses neither Podium's sampler nor TRL's.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from trl_peer import rankings, worlds


@torch.no_grad()
def judge(policy: Path, world: worlds.World, *, kl_coef: float, seed: int = 77) -> dict[str, float]:
    """Means over one response to each held-out prompt; `objective` is reward − β·KL, with its standard error."""
    tokenizer = AutoTokenizer.from_pretrained(world.policy, padding_side="left")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folders = (policy, world.policy)
    model, reference = (AutoModelForCausalLM.from_pretrained(folder).eval().to(device) for folder in folders)
    reward = AutoModelForSequenceClassification.from_pretrained(world.reward, num_labels=1).eval().to(device)
    reward.config.pad_token_id = tokenizer.pad_token_id
    prompts = _held_out(world)
    given = tokenizer(prompts, return_tensors="pt", padding=True).to(device)
    torch.manual_seed(seed)
    rows = model.generate(
        **given,
        max_new_tokens=worlds.MAX_NEW_TOKENS,
        do_sample=True,
        top_k=0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    width = given["input_ids"].shape[1]
    mask = rows != tokenizer.pad_token_id
    inputs = {"input_ids": rows, "attention_mask": mask.long(), "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    ours, theirs = (
        torch.log_softmax(each(**inputs).logits[:, width - 1 : -1].float(), dim=-1) for each in (model, reference)
    )
    kl = ((ours.exp() * (ours - theirs)).sum(-1) * mask[:, width:]).sum(1)
    del ours, theirs
    texts = [tokenizer.decode(row[width:], skip_special_tokens=True) for row in rows]
    scores: Any = reward(**inputs).logits[:, 0]
    objective = scores - kl_coef * kl
    return {
        "reward": float(scores.mean()),
        "vowels": sum(map(rankings.vowel_share, texts)) / len(texts),
        "kl": float(kl.mean()),
        "objective": float(objective.mean()),
        "objective_error": float(objective.std() / len(objective) ** 0.5),
        "tokens": float(mask[:, width:].sum(1).float().mean()),
    }


def _held_out(world: worlds.World) -> list[str]:
    from training.engine import data

    return [row.prompt[0].content for row in data.read_prompts(world.prompts).rows if row.split == "valid"]


if __name__ == "__main__":
    import sys

    given = worlds.World(*map(Path, sys.argv[2:6]))
    print(json.dumps(judge(Path(sys.argv[1]), given, kl_coef=float(sys.argv[6]))))
