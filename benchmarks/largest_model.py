"""The largest model of which all weights train in this GPU's memory: SFT, reward model and PPO, by their own steps.

    python benchmarks/largest_model.py [--quick] [--json FILE] [--stages sft,reward,ppo] [--keep-activations]

Llama shapes with fresh weights, bf16 compute with fp32 masters, 8,192 tokens a forward pass, activations recomputed.
Each stage takes larger and larger models until one does not fit. `computed` is what docs/memory.md's formula says.
"""

import argparse
import gc
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig

from training import ppo, sft
from training.contract.configs import PPOConfig, RewardConfig, SFTConfig
from training.engine import decode_graphs, device, experience, memory, models, packing, ppo_iteration, reward_learner
from training.engine.batches import Element, Example, Ranking
from training.engine.measure import NamedPrompt
from training.engine.optim import adamw, trainable
from training.engine.processes import ALONE
from training.engine.rewards import choose_layout
from training.engine.text import byte_text

SHAPES = {  # width, layers, heads, key/value heads, feed-forward
    "0.1B": (768, 12, 12, 4, 2048),
    "1B": (2048, 18, 32, 8, 5632),
    "1.5B": (2048, 28, 16, 8, 6144),
    "2B": (2560, 28, 20, 4, 6912),
    "2.5B": (2560, 34, 20, 4, 7168),
    "3B": (2560, 40, 20, 4, 7680),
    "3.5B": (3072, 34, 24, 8, 8192),
    "4B": (3072, 38, 24, 8, 8448),
    "5B": (3584, 36, 28, 4, 9216),
    "6B": (4096, 32, 32, 8, 10240),
    "6.5B": (4096, 32, 32, 8, 11776),
    "7B": (4096, 32, 32, 8, 13184),
    "8B": (4096, 32, 32, 8, 15616),
}
VOCABULARY, TOKENS, PROMPT, RESPONSE = 32_000, 8_192, 256, 256
TEXT = byte_text()
MODEL = {"init_model": "-", "dataset": "-"}
LENGTHS = {"max_prompt_tokens": PROMPT, "max_response_tokens": RESPONSE}

Step = Callable[[], int]  # one optimiser step or PPO iteration; gives the tokens of prompts and responses


def main() -> int:
    args = _arguments()
    if not torch.cuda.is_available():
        print("nothing is measured: this is about a GPU's memory, and torch finds no GPU")
        return 0
    total = torch.cuda.get_device_properties(0).total_memory / 2**30
    print(f"{torch.cuda.get_device_name()}, {total:.0f} GiB, torch {torch.__version__}", flush=True)
    rows = [row for stage in args.stages.split(",") for row in climb(stage, args)]
    print_table(rows)
    if args.json:
        Path(args.json).write_text(json.dumps({"device": torch.cuda.get_device_name(), "gib": total, "rows": rows}))
    return 0


def climb(stage: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The largest size that fits and the next one, which does not; the search begins where the formula says."""
    names, found = list(SHAPES), {}
    place = 0 if args.quick else _likely(stage, names, recomputes=not args.keep_activations)
    while 0 <= place < len(names) and place not in found:
        found[place] = measure(stage, names[place], recomputes=not args.keep_activations)
        print(found[place], flush=True)
        if args.quick:
            break
        place += 1 if found[place]["peak_gib"] else -1
    return [found[place] for place in sorted(found)]


def _likely(stage: str, names: Sequence[str], *, recomputes: bool) -> int:
    """The place of the largest size that should fit."""
    total = torch.cuda.get_device_properties(0).total_memory / 2**30
    fitting = [place for place, name in enumerate(names) if _computed(stage, name, recomputes=recomputes)[1] < total]
    return max(fitting, default=0)


def _computed(stage: str, name: str, *, recomputes: bool) -> tuple[float, float]:
    """Billions of weights, and GiB by the formula."""
    scored = TOKENS // 2 if stage != "reward" else TOKENS // RESPONSE
    with torch.device("meta"):
        shape = memory.shape_of(AutoModelForCausalLM.from_config(_config(name)))
    plan = memory.Plan(stage=stage, tokens=TOKENS, scored=scored, recomputes=recomputes)
    return shape.num_parameters / 1e9, memory.needed(shape, plan).total / 2**30


def measure(stage: str, name: str, *, recomputes: bool) -> dict[str, Any]:
    """Two steps of a stage: the first brings the optimiser's moments, the second is timed."""
    _forget()
    billions, computed = _computed(stage, name, recomputes=recomputes)
    row: dict[str, Any] = {"stage": stage, "size": name, "peak_gib": None, "tokens_per_s": None}
    row |= {"billions": billions, "computed_gib": computed}
    try:
        step = {"sft": _sft, "reward": _reward, "ppo": _ppo}[stage](name, recomputes=recomputes)
        step()
        torch.cuda.synchronize()
        started = time.perf_counter()
        tokens = step()
        torch.cuda.synchronize()
    except torch.cuda.OutOfMemoryError:
        return row
    row["tokens_per_s"] = tokens / (time.perf_counter() - started)
    row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return row


def _sft(name: str, *, recomputes: bool) -> Step:
    config = SFTConfig(**MODEL, **LENGTHS, **_usual(recomputes=recomputes), max_forward_tokens=TOKENS, dropout=0.0)
    compute = device.choose(config)
    model = _model(AutoModelForCausalLM, name, config, compute)
    packing.enable(model)
    setup = sft.Setup(config=config, compute=compute, processes=ALONE, text=TEXT, model=model)
    optimizers = [adamw(model, config)]
    examples = [Example(prompt=_ids(n, PROMPT), response=_ids(-n, RESPONSE)) for n in range(1, 33)]
    return lambda: sft.learn(setup, optimizers, examples, learning_rate=1e-6, name="sft")[1]


def _reward(name: str, *, recomputes: bool) -> Step:
    config = RewardConfig(**MODEL, **LENGTHS, **_usual(recomputes=recomputes), max_forward_tokens=TOKENS)
    compute = device.choose(config)
    model = _model(AutoModelForSequenceClassification, name, config, compute)
    layout, _ = choose_layout(model, "tree")
    setup = reward_learner.Setup(config=config, compute=compute, processes=ALONE, text=TEXT, model=model, layout=layout)
    optimizer = adamw(model, config)
    elements = [_element(number) for number in range(8)]

    def step() -> int:
        reward_learner.learn(setup, optimizer, elements, learning_rate=1e-6)
        return len(elements) * (PROMPT + 9 * RESPONSE)

    return step


def _ppo(name: str, *, recomputes: bool) -> Step:
    config = PPOConfig(
        policy_model="-",
        reward_model="-",
        prompts="-",
        max_prompt_tokens=PROMPT,
        max_new_tokens=RESPONSE,
        batch_size=32,
        minibatch_size=16,
        **_usual(recomputes=recomputes) | {"micro_batch_size": 16},
    )
    compute = device.choose(config)
    policy, reward = (
        _model(auto, name, config, compute, prepares=False)
        for auto in (AutoModelForCausalLM, AutoModelForSequenceClassification)
    )
    for model in (policy, reward):
        packing.enable(model)
    judges = ppo._twins(config, policy, reward)
    for model in (judges.reference, judges.reward):
        models.store_as_computed(model, compute)
    average = [parameter.detach().clone() for parameter in trainable(judges.policy)]
    setup = ppo_iteration.Setup(
        config=config,
        compute=compute,
        text=TEXT,
        train=[NamedPrompt(name=str(n), ids=_ids(n, PROMPT)) for n in range(config.batch_size)],
        valid=[],
        stream=[],
        judges=judges,
        learner=ppo._learner(config, judges, compute, ALONE),
        schedule=ppo._schedule(config, ALONE),
        sampling=ppo._sampling(config, TEXT),
        graphs=decode_graphs.where_possible(judges.policy, compute.device, say=print),
    )

    def step() -> int:
        responses, episodes = ppo_iteration.sampled(setup, 0)
        plans = setup.schedule.plans(0)
        batch: tuple[experience.Experience, Any] = ppo_iteration.judged(
            setup, responses, episodes, plans[0], kl_coef=0.02
        )
        ppo_iteration.learned(setup, batch[0], plans, 0)
        ppo.update_average(average, trainable(judges.policy), decay=0.99)
        return int(episodes.attention_mask_BT.sum())

    return step


def _usual(*, recomputes: bool) -> dict[str, Any]:
    return {"gradient_checkpointing": recomputes, "micro_batch_size": 64, "precision": "bf16"}


def _model(auto: Any, name: str, config: Any, compute: device.Compute, *, prepares: bool = True) -> Any:
    torch.manual_seed(0)
    with torch.device(compute.device):
        model = auto.from_config(_config(name)).eval()
    if prepares:
        models.prepare_training(model, config)
    return model


def _config(name: str) -> LlamaConfig:
    width, layers, heads, kv_heads, feed_forward = SHAPES[name]
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=feed_forward,
        max_position_embeddings=4096,
        pad_token_id=TEXT.pad_id,
        eos_token_id=TEXT.end_id,
        num_labels=1,
    )


def _element(number: int) -> Element:
    ranking = Ranking(positions=tuple(range(9)), ranks=tuple(range(1, 10)), weight=1.0, labeler="", held_out=False)
    responses = tuple([*_ids(number * 9 + k, RESPONSE - 1), TEXT.end_id] for k in range(9))
    return Element(
        prompt_id="", split="train", category="", prompt=_ids(number, PROMPT), responses=responses, rankings=(ranking,)
    )


def _ids(seed: int, length: int) -> list[int]:
    random = Random(seed)
    return [random.randrange(10, 200) for _ in range(length)]


def _forget() -> None:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    print("| stage | weights | peak GiB | computed | tokens/s |")
    print("|---|---|---|---|---|")
    for row in rows:
        peak = f"{row['peak_gib']:.1f}" if row["peak_gib"] else "does not fit"
        speed = f"{row['tokens_per_s']:,.0f}" if row["tokens_per_s"] else ""
        print(f"| {row['stage']} | {row['billions']:.2f}B | {peak} | {row['computed_gib']:.1f} | {speed} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest size alone")
    parser.add_argument("--json", metavar="FILE", help="write the table there too")
    parser.add_argument("--stages", default="sft,reward,ppo")
    parser.add_argument("--keep-activations", action="store_true", help="recompute nothing")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
