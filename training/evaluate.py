"""Evaluate: what a reward model or a policy is worth on data that did not train it.

    python -m training.evaluate --config evaluate.json --run-dir runs/evaluate-1

Each part runs when its data is given, and `outputs/report.json` holds its figures with intervals:
`reward_model` pair accuracy on rankings (see `training.engine.report`) · `policy` reward, KL, length and missing ends
on prompts, beside the reference's answers drawn with the same random numbers · `text` loss on held-out pretraining
text, and its rise over the reference: the alignment tax · `truthfulqa` MC1 and MC2 · `harmful` how often the policy
complies with harmful prompts · `paraphrases` how alike it answers two prompts that ask the same.

Each part logs one line of metrics: its main figures (docs/metrics.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.cli import Result, run_stage
from training.contract.configs import ConfigError, EvaluateConfig
from training.contract.questions import Question
from training.contract.records import Message, PromptRow
from training.contract.rundir import RunDir, file_sha256, read_json, write_json
from training.engine import batches, data, device, measure, models, probes, processes, scoring, truthfulqa
from training.engine.batches import Cuts
from training.engine.bench import Bench, Report, Subject, answer_all, correlation, prompt_names, refuse_other_tokenizers
from training.engine.corpus import snapshot_stream
from training.engine.report import reward_report
from training.engine.rewards import choose_layout, score_all
from training.engine.runlog import Cancelled, RunLog


def main(config: EvaluateConfig, run_dir: RunDir, log: RunLog) -> Result:
    """The whole stage, top to bottom."""
    processes.refuse_several("evaluate")
    # 1. Which parts there is data for, and which of them an earlier start has finished.
    bench = Bench(config)
    parts = [(name, measure_part) for name, measure_part in PARTS.items() if getattr(config, _DATA[name])]
    kept = run_dir.checkpoints / "parts.json"
    report: Report = read_json(kept) or {}
    log.plan(len(parts))
    log.resume(len(report))
    device.seed_everything(config.seed)

    # 2. Each part: its figures into the report, the main ones into the metrics.
    for step, (name, measure_part) in enumerate(parts, start=1):
        if name in report:
            continue
        if log.cancel_asked:
            raise Cancelled
        log.phase(name)
        report[name], figures = measure_part(bench)
        log.say(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
        log.metrics(step, figures)
        write_json(kept, report)
        log.step_done(step)

    # 3. Publish.
    write_json(run_dir.outputs / "report.json", report)
    return Result(summary=report, inputs=_input_hashes(config))


def measure_reward_model(bench: Bench) -> tuple[Report, dict[str, float]]:
    """Pair accuracy on rankings: by labelers that trained and held-out ones, category, rank distance; calibration."""
    config, reward = bench.config, bench.reward
    assert reward is not None  # noqa: S101 - the config checks it
    rows = [row for row in data.read_reward(config.dataset).rows if config.split in ("all", row.split)]
    if not rows:
        raise ConfigError("dataset", f"has no ranking in its {config.split} split")
    cuts = Cuts()
    elements = batches.elements(
        rows,
        reward.text,
        max_prompt_tokens=config.max_prompt_tokens,
        max_response_tokens=config.max_response_tokens,
        cuts=cuts,
    )
    models.check_lengths(
        reward.model, max_prompt_tokens=config.max_prompt_tokens, max_response_tokens=config.max_response_tokens
    )
    layout, _ = choose_layout(reward.model, "tree")
    scores = score_all(
        reward.model,
        elements,
        layout=layout,
        max_elements=max(1, config.batch_size // 4),
        max_tokens=8 * 1024,
        compute=bench.compute,
        pad_id=reward.text.pad_id,
    )
    report = reward_report(elements, scores, num_samples=config.bootstrap_samples, seed=config.seed)
    report |= {"num_cut_prompts": cuts.prompts, "num_cut_responses": cuts.responses}
    found = [value for name in ("valid", "test", "train") if (value := report["accuracy"][name])]
    return report, {"evaluate/pair_accuracy": found[0]["value"]} if found else {}


def measure_policy(bench: Bench) -> tuple[Report, dict[str, float]]:
    """Reward, KL, length and missing ends of the policy's answers, and of the reference's with the same luck."""
    rows = [row for row in data.read_prompts(bench.config.prompts).rows if bench.config.split in ("all", row.split)]
    if not rows:
        raise ConfigError("prompts", f"has no prompt in its {bench.config.split} split")
    refuse_other_tokenizers(bench)
    report: Report = {"num_prompts": len(rows), "num_responses_per_prompt": bench.config.num_responses}
    answers = {name: answer_all(bench, subject, rows) for name, subject in bench.subjects().items()}
    for name, found in answers.items():
        report[name] = _describe(bench, rows, found)
    means = measure.summary(answers["policy"])
    figures = {
        "evaluate/response_tokens": means["response_tokens"],
        "evaluate/missing_end_share": means["missing_end_share"],
    }
    if bench.reward:
        figures["evaluate/reward"] = means["reward"]
    if "reference" in answers:
        figures["evaluate/kl"] = means["kl"]
    if "reference" in answers and bench.reward:
        report |= _comparison(bench, rows, answers)
        figures["evaluate/reward_gain"] = report["reward_gain"]["value"]
    return report, figures


def measure_text(bench: Bench) -> tuple[Report, dict[str, float]]:
    """Loss on held-out text of the policy and of its reference; their difference is the alignment tax."""
    rows = data.read_text(bench.config.text).rows
    losses = {name: _text_losses(bench, subject, rows) for name, subject in bench.subjects().items()}
    report: Report = {name: found.report for name, found in losses.items()}
    figures = {"evaluate/text_loss": report["policy"]["loss"]}
    if "reference" in report:
        report["alignment_tax"] = report["policy"]["loss"] - report["reference"]["loss"]
        report["alignment_tax_interval"] = _tax_interval(bench, losses["policy"], losses["reference"])
        figures["evaluate/alignment_tax"] = report["alignment_tax"]
    return report, figures


def measure_truthfulqa(bench: Bench) -> tuple[Report, dict[str, float]]:
    """MC1 and MC2 of the policy and of its reference."""
    everything = truthfulqa.read_questions(Path(bench.config.truthfulqa))
    questions = [item for item in everything if all(_fits(subject, item) for subject in bench.subjects().values())]
    report: Report = {"num_questions": len(questions), "num_too_long": len(everything) - len(questions)}
    if not questions:
        raise ConfigError("truthfulqa", f"has no question that fits the models ({len(everything)} are too long)")
    for name, subject in bench.subjects().items():
        scored = [(question, _answer_scores(bench, subject, question)) for question in questions]
        report[name] = {
            "mc1": bench.interval([(item.text, truthfulqa.mc1(item, scores)) for item, scores in scored]),
            "mc2": bench.interval([(item.text, truthfulqa.mc2(item, scores)) for item, scores in scored]),
        }
    return report, {
        "evaluate/mc1": report["policy"]["mc1"]["value"],
        "evaluate/mc2": report["policy"]["mc2"]["value"],
    }


def _describe(bench: Bench, rows: Sequence[PromptRow], answers: measure.Answers) -> Report:
    names = prompt_names(bench, rows)
    report: Report = {
        "response_tokens": bench.interval(list(zip(names, answers.num_tokens, strict=True))),
        "missing_end_share": bench.interval([(n, float(not e)) for n, e in zip(names, answers.has_end, strict=True)]),
    }
    if answers.kl:
        report["kl"] = bench.interval(list(zip(names, answers.kl, strict=True)))
    if answers.rewards:
        report["reward"] = bench.interval(list(zip(names, answers.rewards, strict=True)))
        report["reward_by_category"] = _by_category(bench, rows, answers.rewards)
        report["reward_length_correlation"] = correlation(answers.rewards, answers.num_tokens)
    return report


def _comparison(bench: Bench, rows: Sequence[PromptRow], answers: dict[str, measure.Answers]) -> Report:
    """Policy against reference, response by response."""
    pairs = list(zip(answers["policy"].rewards, answers["reference"].rewards, strict=True))
    names = prompt_names(bench, rows)
    gains = [(name, ours - theirs) for name, (ours, theirs) in zip(names, pairs, strict=True)]
    return {
        "reward_gain": bench.interval(gains),
        "win_rate": bench.interval([(name, 0.5 if gain == 0 else float(gain > 0)) for name, gain in gains]),
    }


def _by_category(bench: Bench, rows: Sequence[PromptRow], rewards: Sequence[float]) -> Report:
    outcomes: dict[str, list[tuple[str, float]]] = {}
    categories = [row.category for row in rows for _ in range(bench.config.num_responses)]
    for category, name, reward in zip(categories, prompt_names(bench, rows), rewards, strict=True):
        outcomes.setdefault(category, []).append((name, reward))
    return {category: bench.interval(found) for category, found in sorted(outcomes.items())}


@dataclass(frozen=True)
class _TextLosses:
    """The report of one model's losses, and the nats and tokens of each piece of the text."""

    report: Report
    nats: tuple[float, ...]
    num_tokens: tuple[int, ...]


def _text_losses(bench: Bench, subject: Subject, rows: Sequence[Any]) -> _TextLosses:
    """Nats per token, and bits per byte of the same text, which compares models with different tokenizers."""
    config = bench.config
    chosen = [row for row in rows if config.split in ("all", row.split)]
    stream = [
        token
        for split in sorted({row.split for row in chosen})
        for token in snapshot_stream(chosen, subject.text, split=split)
    ]
    width = min(config.text_piece_tokens, models.max_positions(subject.model) or config.text_piece_tokens)
    pieces = [stream[start : start + width] for start in range(0, len(stream) - 1, width)]
    if not pieces:
        raise ConfigError("text", f"has no text in its {config.split} split")
    every = -(-len(pieces) // config.max_text_pieces)
    with bench.compute.autocast():
        found = measure.text_losses(
            subject.model, pieces[::every], pad_token_id=subject.text.pad_id, batch_size=config.batch_size
        )
    nats, num_tokens = zip(*found, strict=True)
    interval = bench.rate(nats, num_tokens)
    num_bytes = sum(len(row.text.encode()) for row in chosen)
    report = {
        "loss": interval["value"],
        "loss_interval": interval,
        "bits_per_byte": interval["value"] / np.log(2) * len(stream) / num_bytes,
        "num_tokens": sum(num_tokens),
        "share_measured": len(pieces[::every]) / len(pieces),
    }
    return _TextLosses(report, nats, num_tokens)


def _tax_interval(bench: Bench, ours: _TextLosses, theirs: _TextLosses) -> Report | None:
    """Piece by piece. None for models whose tokenizers cut the text differently: their pieces are not the same."""
    if ours.num_tokens != theirs.num_tokens:
        return None
    return bench.rate([one - other for one, other in zip(ours.nats, theirs.nats, strict=True)], ours.num_tokens)


def _fits(subject: Subject, question: Question) -> bool:
    limit = models.max_positions(subject.model)
    longest = max(len(subject.text.content_ids(answer)) for answer in question.answers)
    return limit is None or len(_question_ids(subject, question)) + longest <= limit


def _question_ids(subject: Subject, question: Question) -> list[int]:
    return subject.text.prompt_ids([Message(role="user", content=question.text)])


@torch.no_grad()
def _answer_scores(bench: Bench, subject: Subject, question: Question) -> dict[str, float]:
    """The log-probability of each answer after the question."""
    prompt = _question_ids(subject, question)
    answers = [subject.text.content_ids(answer) for answer in question.answers]
    batch = scoring.episodes(
        [prompt] * len(answers), answers, pad_token_id=subject.text.pad_id, device=bench.compute.device
    )
    with bench.compute.autocast():
        scores_B = scoring.response_logprobs(subject.model, batch, temperature=1.0).sum(dim=1)
    return dict(zip(question.answers, scores_B.tolist(), strict=True))


def _input_hashes(config: EvaluateConfig) -> dict[str, str]:
    readers: dict[str, Callable[[str], Any]] = {
        "dataset": data.read_reward,
        "prompts": data.read_prompts,
        "text": data.read_text,
    }
    hashes = {
        name: read(getattr(config, name)).manifest.sha256 for name, read in readers.items() if getattr(config, name)
    }
    files = ("truthfulqa", "harmful_prompts", "paraphrases")
    return hashes | {name: file_sha256(Path(getattr(config, name))) for name in files if getattr(config, name)}


PARTS: dict[str, Callable[[Bench], tuple[Report, dict[str, float]]]] = {
    "reward_model": measure_reward_model,
    "policy": measure_policy,
    "text": measure_text,
    "truthfulqa": measure_truthfulqa,
    "harmful": probes.measure_harmful,
    "paraphrases": probes.measure_paraphrases,
}
_DATA = {
    "reward_model": "dataset",
    "policy": "prompts",
    "text": "text",
    "truthfulqa": "truthfulqa",
    "harmful": "harmful_prompts",
    "paraphrases": "paraphrases",
}


if __name__ == "__main__":
    raise SystemExit(run_stage("evaluate", main))
