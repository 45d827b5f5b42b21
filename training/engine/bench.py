"""What the parts of an evaluation share: the models, each loaded when a part first asks, and answers to prompts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from training.contract.configs import ConfigError, EvaluateConfig
from training.contract.records import PromptRow
from training.engine import decode_graphs, device, measure, models, scoring
from training.engine.batches import Cuts
from training.engine.decode_graphs import DecodeGraphs
from training.engine.report import rate_with_interval, share_with_interval
from training.engine.rollout import SamplingRule
from training.engine.text import Text, load_text

Report = dict[str, Any]


class Bench:
    """The config and the models, each loaded when a part first asks for it."""

    def __init__(self, config: EvaluateConfig) -> None:
        self.config = config
        self.compute = device.choose(config)

    @cached_property
    def policy(self) -> "Subject":
        return self._load(self.config.model, _load_policy)

    @cached_property
    def reference(self) -> "Subject | None":
        return self._load(self.config.reference_model, _load_policy) if self.config.reference_model else None

    @cached_property
    def reward(self) -> "Subject | None":
        return self._load(self.config.reward_model, models.load_reward) if self.config.reward_model else None

    def subjects(self) -> "dict[str, Subject]":
        """The policy and, when given, its reference, by the names that the report uses."""
        return {"policy": self.policy} | ({"reference": self.reference} if self.reference else {})

    def interval(self, outcomes: Sequence[tuple[str, float]]) -> Report | None:
        """Mean and 95 % interval over prompts of (prompt, number)."""
        rng = np.random.default_rng(self.config.seed)
        found = share_with_interval(outcomes, num_samples=self.config.bootstrap_samples, rng=rng)
        return found and {("num_responses" if key == "num_pairs" else key): value for key, value in found.items()}

    def rate(self, above: Sequence[float], below: Sequence[float]) -> Report:
        """Σ above / Σ below and its 95 % interval over the parts that they are sums of."""
        rng = np.random.default_rng(self.config.seed)
        return rate_with_interval(above, below, num_samples=self.config.bootstrap_samples, rng=rng)

    def _load(self, folder: str, load: Callable[[str, Text], Any]) -> "Subject":
        text = load_text(folder)
        model = load(folder, text).to(self.compute.device)
        graphs = decode_graphs.where_possible(model, self.compute.device, say=print)
        return Subject(model=model, text=text, graphs=graphs)


@dataclass(frozen=True)
class Subject:
    """A model with its own tokenizer."""

    model: Any
    text: Text
    graphs: DecodeGraphs | None


def _load_policy(folder: str, text: Text) -> Any:
    policy = models.load_policy(folder, text)
    scoring.check_unembedding(policy)
    return policy


def refuse_other_tokenizers(bench: Bench) -> None:
    """Token ids of the policy's answers go to reference and reward model as they are."""
    wanted = bench.policy.text.tokenizer.get_vocab()
    for field, subject in (("reference_model", bench.reference), ("reward_model", bench.reward)):
        if subject and subject.text.tokenizer.get_vocab() != wanted:
            raise ConfigError(field, "has another tokenizer than the policy")


def answer_all(
    bench: Bench, subject: Subject, rows: Sequence[PromptRow], *, with_judges: bool = True
) -> measure.Answers:
    """A model's answers to prompts, each prompt `num_responses` times; the judges are those of the policy."""
    config, cuts = bench.config, Cuts()
    models.check_lengths(
        subject.model, max_prompt_tokens=config.max_prompt_tokens, max_response_tokens=config.max_new_tokens
    )
    prompts = [
        measure.NamedPrompt(name=row.prompt_id, ids=cuts.prompt(subject.text, row.prompt, config.max_prompt_tokens))
        for row in rows
    ]
    rule = SamplingRule(
        end_token_id=subject.text.end_id,
        pad_token_id=subject.text.pad_id,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
    )
    judges = measure.Judges(
        reference=bench.reference.model if bench.reference and subject is bench.policy else None,
        reward=bench.reward.model if bench.reward else None,
    )
    with bench.compute.autocast():
        return measure.answer(
            subject.model,
            prompts,
            judges if with_judges else measure.Judges(),
            rule=rule,
            seed=config.seed,
            batch_size=config.batch_size,
            num_samples=config.num_responses,
            graphs=subject.graphs,
        )


def prompt_names(bench: Bench, rows: Sequence[PromptRow]) -> list[str]:
    """The prompt of each answer."""
    return [row.prompt_id for row in rows for _ in range(bench.config.num_responses)]


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's correlation; None where either does not vary."""
    if len(first) < 2 or not np.ptp(first) or not np.ptp(second):
        return None
    return float(np.corrcoef(first, second)[0, 1])
