"""Generate: K responses for each prompt, to be ranked by people.

    python -m training.generate --config generate.json --run-dir runs/generate-1

A model answers in this process (by our own loop, or by transformers' continuous batching), or a server with OpenAI's
API does. Every requested (prompt, sample) ends up in `outputs/responses.jsonl` exactly once, in the order of the
prompts: as a response, or as an error with its reason. By our own loop, what a sample says depends on the seed, its
prompt and its number alone, so a resumed run gives the same file. Only samples that are not there yet, or had failed,
are asked for again.

Metrics: docs/metrics.md.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from training.cli import Result, run_stage
from training.contract.configs import ConfigError, GenerateConfig
from training.contract.records import PromptRow, RecordError, ResponseRow, canonical_line
from training.contract.rundir import RunDir, write_bytes
from training.engine import data, decode_graphs, device, models, processes
from training.engine.batches import Cuts
from training.engine.continuous import sample_all
from training.engine.rollout import SamplingRule, row_uniforms, sample, sample_seed
from training.engine.runlog import Cancelled, RunLog, throughput
from training.engine.server import Pace, Server, ServerError, ask
from training.engine.text import Text, load_text

Wanted = tuple[PromptRow, int]
Sampler = Callable[[Sequence[Wanted]], list[ResponseRow]]


def main(config: GenerateConfig, run_dir: RunDir, log: RunLog) -> Result:
    """The whole stage, top to bottom."""
    processes.refuse_several("generate")
    # 1. What is wanted: every prompt of the split, K times.
    snapshot = data.read_prompts(config.prompts)
    rows = [row for row in snapshot.rows if config.split in ("all", row.split)]
    _refuse_nothing_and_doubles(rows, config)
    wanted: list[Wanted] = [(row, index) for row in rows for index in range(config.num_responses)]

    # 2. What is there already from an earlier start.
    journal = Journal(run_dir.checkpoints / "responses.jsonl")
    done = journal.read()
    left = [item for item in wanted if _key(item) not in done]
    log.say(f"{len(rows)} prompts, {config.num_responses} responses each; {len(left)} of {len(wanted)} to sample")

    # 3. Who answers.
    cuts = Cuts()
    answer = _SAMPLERS[config.backend](config, cuts)

    # 4. Ask, step by step; a step is kept as soon as it is there.
    batches = list(_batches(left, config))
    first = -(-(len(wanted) - len(left)) // config.batch_size)
    log.plan(first + len(batches))
    log.resume(first)
    log.phase("generate")
    for step, batch in enumerate(batches, start=first + 1):
        if log.cancel_asked:
            raise Cancelled
        started = time.monotonic()
        found = answer(batch)
        journal.append(found)
        done |= {(row.prompt_id, row.sample_index): row for row in found}
        log.metrics(step, _figures(found, done) | throughput(sum(row.num_tokens for row in found), started))
        log.step_done(step)

    # 5. Publish all of them in the order of the prompts, and say what is wrong with them.
    log.phase("publish")
    responses = [done[_key(item)] for item in wanted]
    summary = _summary(responses, cuts)
    log.say(json.dumps(summary, ensure_ascii=False))
    if summary["num_duplicates"]:
        log.say(f"{summary['num_duplicates']} responses repeat another one of their prompt: is the sampler greedy?")
    if not summary["num_responses"]:
        raise RuntimeError(f"no response at all: {responses[0].error}")
    write_bytes(run_dir.outputs / "responses.jsonl", b"".join(canonical_line(row.to_dict()) for row in responses))
    return Result(summary=summary, inputs={"prompts": snapshot.manifest.sha256})


@dataclass(frozen=True)
class Journal:
    """Responses as they come, one JSON line each. A half-written last line is as if it were not there."""

    path: Path

    def read(self) -> dict[tuple[str, int], ResponseRow]:
        """The good responses so far; failed ones are left out, so that they are asked for again."""
        if not self.path.exists():
            return {}
        rows = [row for line in self.path.read_bytes().split(b"\n") if (row := _parsed(line))]
        good = {(row.prompt_id, row.sample_index): row for row in rows if not row.error}
        write_bytes(self.path, b"".join(canonical_line(row.to_dict()) for row in good.values()))
        return good

    def append(self, rows: Sequence[ResponseRow]) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(canonical_line(row.to_dict()) for row in rows))
            file.flush()
            os.fsync(file.fileno())


def _refuse_nothing_and_doubles(rows: Sequence[PromptRow], config: GenerateConfig) -> None:
    if not rows:
        raise ConfigError("split", f"leaves no prompt to answer: the snapshot has none in {config.split!r}")
    name, count = Counter(row.prompt_id for row in rows).most_common(1)[0]
    if count > 1:
        raise ConfigError("prompts", f"has the prompt {name} {count} times")


def _local_sampler(config: GenerateConfig, cuts: Cuts) -> Sampler:
    """Answers of a model in this process, by our own loop. The samples of one prompt share its prefill."""
    own = _load(config)
    graphs = decode_graphs.where_possible(own.model, own.compute.device, say=print)

    def answer(batch: Sequence[Wanted]) -> list[ResponseRow]:
        ids = own.prompts(batch, cuts)
        uniforms_BR = row_uniforms(list(map(_name, batch)), seed=config.seed, num_draws=own.rule.max_new_tokens)
        with own.compute.autocast():
            num_samples = len(batch) // len(ids)
            found = sample(own.model, ids, uniforms_BR, rule=own.rule, num_samples=num_samples, graphs=graphs)
        return [
            _response_row(item, found.row(index), has_end=bool(found.has_end_B[index]), text=own.text)
            for index, item in enumerate(batch)
        ]

    return answer


def _continuous_sampler(config: GenerateConfig, cuts: Cuts) -> Sampler:
    """Answers of a model in this process, by transformers' continuous batching; what it loses becomes an error row."""
    own = _load(config)

    def answer(batch: Sequence[Wanted]) -> list[ResponseRow]:
        ids = own.prompts(batch, cuts)
        seed = sample_seed(_name(batch[0]), seed=config.seed) % 2**31
        with own.compute.autocast():
            found = sample_all(own.model, ids, rule=own.rule, num_samples=len(batch) // len(ids), seed=seed)
        return [
            _error_row(item, one.error)
            if one.error
            else _response_row(item, one.tokens, has_end=one.has_end, text=own.text)
            for item, one in zip(batch, found, strict=True)
        ]

    return answer


@dataclass(frozen=True, kw_only=True)
class Own:
    """The model of this process and how it samples."""

    config: GenerateConfig
    compute: device.Compute
    text: Text
    model: Any
    rule: SamplingRule

    def prompts(self, batch: Sequence[Wanted], cuts: Cuts) -> list[list[int]]:
        """The token ids of the batch's prompts, each once."""
        rows = {row.prompt_id: row for row, _ in batch}.values()
        return [cuts.prompt(self.text, row.prompt, self.config.max_prompt_tokens) for row in rows]


def _load(config: GenerateConfig) -> Own:
    compute = device.choose(config)
    device.seed_everything(config.seed)
    text = load_text(config.model)
    model = models.load_policy(config.model, text).to(compute.device)
    models.check_lengths(model, max_prompt_tokens=config.max_prompt_tokens, max_response_tokens=config.max_new_tokens)
    rule = SamplingRule(
        end_token_id=text.end_id,
        pad_token_id=text.pad_id,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
    )
    return Own(config=config, compute=compute, text=text, model=model, rule=rule)


def _server_sampler(config: GenerateConfig, _: Cuts) -> Sampler:
    """Answers of a server; one that fails becomes an error row."""
    server = Server(
        url=config.server_url,
        model=config.server_model,
        key=os.environ.get("OPENAI_API_KEY", ""),
        timeout=config.server_timeout,
        retries=config.server_retries,
        pace=Pace(config.server_requests_per_minute),
    )

    def answer_one(item: Wanted) -> ResponseRow:
        row, index = item
        try:
            found = ask(
                server,
                row.prompt,
                temperature=config.temperature,
                top_p=config.top_p,
                max_tokens=config.max_new_tokens,
                seed=sample_seed(_name(item), seed=config.seed) % 2**31,
            )
        except ServerError as error:
            return _error_row(item, str(error))
        return ResponseRow(
            prompt_id=row.prompt_id,
            sample_index=index,
            text=found.text,
            finish_reason=found.finish_reason,
            num_tokens=found.num_tokens,
        )

    def answer(batch: Sequence[Wanted]) -> list[ResponseRow]:
        with ThreadPoolExecutor(config.server_concurrency) as pool:
            return list(pool.map(answer_one, batch))

    return answer


_SAMPLERS: Final = {"local": _local_sampler, "continuous": _continuous_sampler, "openai": _server_sampler}


def _batches(left: Sequence[Wanted], config: GenerateConfig) -> Iterator[list[Wanted]]:
    """Batches in which every prompt wants the same number of samples, so that they can share a prefill."""
    by_prompt: dict[str, list[Wanted]] = {}
    for item in left:
        by_prompt.setdefault(item[0].prompt_id, []).append(item)
    batch: list[Wanted] = []
    for items in by_prompt.values():
        is_other = batch and len(items) != _num_of_last(batch)
        if batch and (is_other or len(batch) + len(items) > config.batch_size):
            yield batch
            batch = []
        batch = batch + items
    if batch:
        yield batch


def _num_of_last(batch: Sequence[Wanted]) -> int:
    return sum(row.prompt_id == batch[-1][0].prompt_id for row, _ in batch)


def _response_row(item: Wanted, ids: list[int], *, has_end: bool, text: Text) -> ResponseRow:
    return ResponseRow(
        prompt_id=item[0].prompt_id,
        sample_index=item[1],
        text=text.decode(ids),
        finish_reason="stop" if has_end else "length",
        num_tokens=len(ids),
    )


def _error_row(item: Wanted, reason: str) -> ResponseRow:
    return ResponseRow(
        prompt_id=item[0].prompt_id,
        sample_index=item[1],
        text="",
        finish_reason="error",
        num_tokens=0,
        error=reason or "unknown",
    )


def _key(item: Wanted) -> tuple[str, int]:
    return item[0].prompt_id, item[1]


def _name(item: Wanted) -> str:
    return f"{item[0].prompt_id}/{item[1]}"


def _parsed(line: bytes) -> ResponseRow | None:
    try:
        return ResponseRow.from_dict(json.loads(line))
    except (ValueError, RecordError):
        return None  # the process was killed in the middle of this line


def _figures(found: Sequence[ResponseRow], done: dict[tuple[str, int], ResponseRow]) -> dict[str, float]:
    good = [row for row in found if not row.error]
    figures = {
        "generate/responses": float(sum(not row.error for row in done.values())),
        "generate/errors": float(sum(bool(row.error) for row in done.values())),
    }
    if good:
        figures["generate/response_tokens"] = sum(row.num_tokens for row in good) / len(good)
        figures["generate/missing_end_share"] = sum(row.finish_reason == "length" for row in good) / len(good)
    return figures


def _summary(responses: Sequence[ResponseRow], cuts: Cuts) -> dict[str, Any]:
    good = [row for row in responses if not row.error]
    return {
        "num_prompts": len({row.prompt_id for row in responses}),
        "num_responses": len(good),
        "num_errors": len(responses) - len(good),
        "errors": dict(Counter(row.error for row in responses if row.error).most_common(10)),
        "num_cut_by_length": sum(row.finish_reason == "length" for row in good),
        "num_duplicates": len(good) - len({(row.prompt_id, row.text) for row in good}),
        "num_empty": sum(not row.text.strip() for row in good),
        "num_prompts_shortened": cuts.prompts,
        "mean_response_tokens": sum(row.num_tokens for row in good) / max(1, len(good)),
    }


if __name__ == "__main__":
    raise SystemExit(run_stage("generate", main))
