"""Score: what one reward model, or several, say of responses; by it prompts are chosen to be ranked.

    python -m training.score --config score.json --run-dir runs/score-1

`outputs/scores.jsonl` holds one line per distinct response of a prompt, in the order of the snapshot, with a score by
each model, in the order of the config: {"prompt_id", "response_sha256", "scores"}. A response is named by the hash of
its text, so that the same text of a prompt has one score whoever wrote it. The models work one after the other, and a
run that is stopped goes on behind its last step.

Metrics: docs/metrics.md.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.cli import Result, run_stage
from training.contract.configs import ConfigError, ScoreConfig
from training.contract.configs.score import REWARD_MODELS
from training.contract.records import AnsweredRow, ScoreRow, canonical_line
from training.contract.rundir import RunDir, write_bytes
from training.engine import batches, data, device, models, processes
from training.engine.batches import Cuts
from training.engine.rewards import choose_layout, score_all
from training.engine.runlog import Cancelled, RunLog, throughput
from training.engine.text import Text, load_text

Rows = Sequence[AnsweredRow]


def main(config: ScoreConfig, run_dir: RunDir, log: RunLog) -> Result:
    """The whole stage, top to bottom."""
    processes.refuse_several("score")
    # 1. Prompts with their responses, in parts.
    snapshot = data.read_responses(config.responses)
    rows = [row for row in snapshot.rows if config.split in ("all", row.split)]
    if not rows:
        raise ConfigError("split", f"leaves nothing to score: the snapshot has no prompt in {config.split!r}")
    parts = [rows[start : start + config.batch_size] for start in range(0, len(rows), config.batch_size)]
    names = [name for name in REWARD_MODELS if getattr(config, name)]

    # 2. What is there already from an earlier start.
    journals = {name: Journal(run_dir.checkpoints / f"{name}.jsonl") for name in names}
    done = {name: journal.read() for name, journal in journals.items()}
    step = sum(map(len, done.values()))
    log.plan(len(parts) * len(names))
    log.resume(step)
    log.say(f"{len(rows)} prompts, {sum(len(row.responses) for row in rows)} responses, {len(names)} reward models")

    # 3. One model after the other, part by part; a part is kept as soon as it is there.
    for name in names:
        left = parts[len(done[name]) :]
        log.phase(name)
        judge = Judge.load(getattr(config, name), config) if left else None
        for part in left:
            if log.cancel_asked:
                raise Cancelled
            assert judge is not None  # noqa: S101 - it is loaded where something is left
            started = time.monotonic()
            scored = judge.score(part)
            journals[name].append(scored)
            done[name].append(scored)
            step += 1
            log.metrics(step, figures(scored) | throughput(scored.num_tokens, started))
            log.step_done(step)

    # 4. Publish.
    log.phase("publish")
    scores = {name: [values for scored in done[name] for values in scored.scores] for name in names}
    write_bytes(run_dir.outputs / "scores.jsonl", b"".join(lines(rows, [scores[name] for name in names])))
    summary = {
        "num_prompts": len(rows),
        "num_responses": sum(len(row.responses) for row in rows),
        "reward_models": names,
        "num_cut_prompts": {name: sum(scored.num_cut_prompts for scored in done[name]) for name in names},
        "num_cut_responses": {name: sum(scored.num_cut_responses for scored in done[name]) for name in names},
    }
    log.say(json.dumps(summary))
    return Result(summary=summary, inputs={"responses": snapshot.manifest.sha256})


@dataclass(frozen=True)
class Scored:
    """A part by one model: the scores of each prompt's responses, and how many texts did not fit."""

    scores: list[list[float]]
    num_cut_prompts: int
    num_cut_responses: int
    num_tokens: int


@dataclass(frozen=True)
class Journal:
    """The parts of one model as they come, a JSON line each. A half-written last line is as if it were not there."""

    path: Path

    def read(self) -> list[Scored]:
        if not self.path.exists():
            return []
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        write_bytes(self.path, whole + b"\n" if whole else b"")
        return [Scored(**json.loads(line)) for line in whole.split(b"\n") if line]

    def append(self, scored: Scored) -> None:
        with self.path.open("ab") as file:
            file.write(canonical_line(asdict(scored)))
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A reward model that is loaded, with what it needs to score."""

    config: ScoreConfig
    compute: device.Compute
    text: Text
    model: Any
    layout: str

    @classmethod
    def load(cls, folder: str, config: ScoreConfig) -> "Judge":
        compute = device.choose(config)
        text = load_text(folder)
        model = models.load_reward(folder, text).to(compute.device)
        lengths = {"max_prompt_tokens": config.max_prompt_tokens, "max_response_tokens": config.max_response_tokens}
        models.check_lengths(model, **lengths)
        layout, _ = choose_layout(model, "tree")
        return cls(config=config, compute=compute, text=text, model=model, layout=layout)

    def score(self, rows: Rows) -> Scored:
        """The scores of each prompt's responses, the model's bias in them."""
        cuts = Cuts()
        elements = batches.to_score(
            rows,
            self.text,
            max_prompt_tokens=self.config.max_prompt_tokens,
            max_response_tokens=self.config.max_response_tokens,
            cuts=cuts,
        )
        scores = score_all(
            self.model,
            elements,
            layout=self.layout,
            max_elements=len(elements),
            max_tokens=self.config.max_forward_tokens,
            compute=self.compute,
            pad_id=self.text.pad_id,
        )
        num_tokens = sum(len(item.prompt) + sum(map(len, item.responses)) for item in elements)
        return Scored(scores, cuts.prompts, cuts.responses, num_tokens)


def lines(rows: Rows, scores_MPK: Sequence[Sequence[Sequence[float]]]) -> Iterator[bytes]:
    """A line per response, with a score by each of the M models: `scores_MPK[m][p][k]`."""
    for place, row in enumerate(rows):
        for number, response in enumerate(row.responses):
            scores = [by_prompt[place][number] for by_prompt in scores_MPK]
            yield canonical_line(ScoreRow.of(row.prompt_id, response, scores).to_dict())


def figures(scored: Scored) -> dict[str, float]:
    """The metrics of a part."""
    flat = [score for values in scored.scores for score in values]
    return {"score/mean": sum(flat) / len(flat), "score/responses": float(len(flat))}


if __name__ == "__main__":
    raise SystemExit(run_stage("score", main))
