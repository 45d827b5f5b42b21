"""The three layouts of the reward model beside each other, on this machine's GPU or CPU: one optimiser step each.

    python benchmarks/reward_layouts.py [--quick] [--json FILE] [--sizes 0.1B,0.5B,1B] [--cells 4x256,9x256]

Random weights of a Llama shape, random tokens, bf16 compute with fp32 masters on a GPU. Each layout takes the same
prompts; the time of a step is the median of several. docs/benchmarks.md explains the columns.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, LlamaConfig

from training.contract.configs import RewardConfig
from training.engine.batches import Element, Ranking
from training.engine.device import choose
from training.engine.reward_learner import weighted_loss
from training.engine.rewards import LAYOUTS, choose_layout, laid_out, num_tokens, packs

SIZES = {  # width, layers, heads, key/value heads, feed-forward
    "3M": (256, 4, 4, 4, 704),
    "0.1B": (768, 12, 12, 4, 2048),
    "0.5B": (1280, 22, 20, 4, 3584),
    "1B": (2048, 18, 32, 8, 5632),
}
VOCABULARY, PAD, END = 32_000, 0, 2
RESPONSE_TOKENS = (128, 256)
LAYOUT_ORDER = ("pairs", "rows", "tree")


def main() -> int:
    args = _arguments()
    rows = [
        measure(size, k, prompt, layout, args)
        for size in args.sizes.split(",")
        for k, prompt in (map(int, cell.split("x")) for cell in args.cells.split(","))
        for layout in LAYOUT_ORDER
    ]
    for row in rows:
        slowest = next(r for r in rows if r["layout"] == "pairs" and r["cell"] == row["cell"])
        row["ratio"] = slowest["step_s"] / row["step_s"] if row["step_s"] and slowest["step_s"] else None
    print_table(rows)
    if args.json:
        Path(args.json).write_text(json.dumps({"device": _device_name(), "torch": torch.__version__, "rows": rows}))
    return 0


def measure(size: str, k: int, prompt: int, layout: str, args: argparse.Namespace) -> dict[str, Any]:
    """One layout of one cell: time, memory and the scores of the first prompts, or why it could not be had."""
    config = RewardConfig(init_model="-", dataset="-", max_forward_tokens=args.forward_tokens, micro_batch_size=4096)
    compute = choose(config)
    cell = f"{size} K={k} P={prompt}"
    row: dict[str, Any] = {"cell": cell, "layout": layout, "step_s": None, "peak_gib": None}
    model = _model(size, compute.device)
    assert choose_layout(model, layout)[0] == layout
    elements = [_element(Random(number), k, prompt) for number in range(args.prompts)]
    placed = [laid_out(element, layout=layout, divisor=config.divisor) for element in elements]
    row["tokens"] = num_tokens(elements, layout="tree") if layout == "tree" else _computed(placed, layout, config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    try:
        times = [_step(model, optimizer, placed, layout, config, compute) for _ in range(args.steps)]
    except torch.cuda.OutOfMemoryError:
        row["why"] = "out of memory"
    else:
        row |= {
            "step_s": statistics.median(times[1:]),
            "unique_per_s": _unique(elements) / statistics.median(times[1:]),
        }
        row["flops_share"] = _flops(model, _unique(elements)) / row["step_s"] / 1e12
        row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    row["scores"] = _scores(_model(size, compute.device), layout, elements[:2], compute)
    del model, optimizer
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return row


def _step(
    model: Any, optimizer: Any, placed: Sequence[Element], layout: str, config: RewardConfig, compute: Any
) -> float:
    _wait()
    started = time.perf_counter()
    limits = {"max_elements": config.micro_batch_size, "max_tokens": config.max_forward_tokens}
    for pack in packs(placed, layout=layout, **limits):
        part = [placed[index] for index in pack]
        with compute.autocast():
            scores_N = LAYOUTS[layout](model, part, pad_id=PAD)
        loss, _ = weighted_loss(scores_N, part, config)
        loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    _wait()
    return time.perf_counter() - started


@torch.no_grad()
def _scores(model: Any, layout: str, elements: Sequence[Element], compute: Any) -> list[float]:
    layout = "rows" if layout == "pairs" else layout
    choose_layout(model, layout)
    with compute.autocast():
        found: list[float] = LAYOUTS[layout](model, elements, pad_id=PAD).float().tolist()
    return found


def _model(size: str, device: torch.device) -> Any:
    width, layers, heads, kv_heads, feed_forward = SIZES[size]
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=feed_forward,
        max_position_embeddings=4096,
        pad_token_id=PAD,
        eos_token_id=END,
        num_labels=1,
    )
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForSequenceClassification.from_config(config).eval()


def _element(random: Random, k: int, prompt: int) -> Element:
    def ids(length: int) -> list[int]:
        return [random.randrange(3, VOCABULARY) for _ in range(length)]

    responses = tuple([*ids(random.randint(*RESPONSE_TOKENS) - 1), END] for _ in range(k))
    ranking = Ranking(positions=tuple(range(k)), ranks=tuple(range(1, k + 1)), weight=1.0, labeler="", held_out=False)
    length = random.randint(int(prompt * 0.85), int(prompt * 1.15))
    return Element(
        prompt_id="", split="train", category="", prompt=ids(length), responses=responses, rankings=(ranking,)
    )


def _computed(placed: Sequence[Element], layout: str, config: RewardConfig) -> int:
    limits = {"max_elements": config.micro_batch_size, "max_tokens": config.max_forward_tokens}
    return sum(num_tokens([placed[i] for i in pack], layout=layout) for pack in packs(placed, layout=layout, **limits))


def _unique(elements: Sequence[Element]) -> int:
    return num_tokens(elements, layout="tree")


def _flops(model: Any, tokens: int) -> float:
    inner = sum(p.numel() for name, p in model.named_parameters() if "embed" not in name)
    return 6.0 * inner * tokens


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    print(f"{_device_name()}, torch {torch.__version__}")
    titles = ["cell", "layout", "tokens", "step", "unique tokens/s", "TFLOP/s", "peak GiB", "ratio", "scores apart"]
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles))
    for row in rows:
        reference = next(r["scores"] for r in rows if r["layout"] == "rows" and r["cell"] == row["cell"])
        apart = max(abs(one - other) for one, other in zip(row["scores"], reference, strict=True))
        if row["step_s"] is None:
            print(f"| {row['cell']} | {row['layout']} | {row['tokens']:,} | {row['why']} | | | | | {apart:.1e} |")
            continue
        peak = f"{row['peak_gib']:.1f}" if row["peak_gib"] else ""
        speed = f"{row['step_s']:.3f} s | {row['unique_per_s']:,.0f} | {row['flops_share']:.1f}"
        ratio = f"{row['ratio']:.1f}" if row["ratio"] else ""
        print(f"| {row['cell']} | {row['layout']} | {row['tokens']:,} | {speed} | {peak} | {ratio} | {apart:.1e} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest size alone")
    parser.add_argument("--json", metavar="FILE", help="write the table there too")
    parser.add_argument("--sizes", default="", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--cells", default="4x256,9x256", help="K x prompt tokens")
    parser.add_argument("--prompts", type=int, default=0, help="prompts per step")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--forward-tokens", type=int, default=16_384)
    args = parser.parse_args()
    has_gpu = torch.cuda.is_available()
    args.sizes = args.sizes or ("3M" if args.quick or not has_gpu else "0.1B,0.5B,1B")
    args.prompts = args.prompts or (16 if has_gpu else 2)
    return args


if __name__ == "__main__":
    raise SystemExit(main())
