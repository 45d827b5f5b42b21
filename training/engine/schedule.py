"""What happens at which PPO iteration: prompts, random numbers, learning rate, pretraining text, and the alarm.

Everything here is a function of (seed, iteration), so a resumed run needs no position in any stream but the iteration
itself. Several processes go through the very batches of one process: each has its own rows of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from training.engine.batches import text_batch
from training.engine.experience import Plan, make_plan
from training.engine.measure import NamedPrompt, text_episodes
from training.engine.rollout import row_uniforms
from training.engine.scoring import Episodes


@dataclass(frozen=True, kw_only=True)
class TextPieces:
    """How the pretraining text of one minibatch is cut."""

    num_pieces: int
    num_tokens: int
    pad_token_id: int
    device: Any


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The order of everything in a run. Iterations count from 0."""

    seed: int
    batch_size: int
    minibatch_size: int
    micro_batch_size: int
    num_inner_epochs: int
    process: int = 0
    num_processes: int = 1

    def prompts(self, prompts: Sequence[NamedPrompt], iteration: int) -> list[NamedPrompt]:
        """The batch of all processes: each pass over the prompts is a fresh shuffle, and takes every prompt once."""
        first = iteration * self.batch_size
        return [prompts[self._shuffled(position, len(prompts))] for position in range(first, first + self.batch_size)]

    def rows(self, iteration: int) -> list[int]:
        """The rows of the batch that this process samples and learns from: its share of every first minibatch."""
        first = self._plan(iteration, epoch=0, micro_batch_size=self.minibatch_size)
        return sorted(row for (rows,) in first for row in rows[self.process :: self.num_processes].tolist())

    def uniforms(self, iteration: int, *, rows: Sequence[int], num_draws: int) -> Tensor:
        """The random numbers that sample these rows of the batch, [rows, num_draws]; no two rows have the same."""
        return row_uniforms([f"0/{iteration}/{row}" for row in rows], seed=self.seed, num_draws=num_draws)

    def plans(self, iteration: int) -> list[Plan]:
        """The shuffled passes over this process's rows of the batch, one per inner epoch. The minibatches are those of
        all processes; in later inner epochs a process may have more rows of one than of another."""
        own = torch.tensor(self.rows(iteration))
        return [
            self._plan(iteration, epoch=epoch, micro_batch_size=self.micro_batch_size, own=own)
            for epoch in range(self.num_inner_epochs)
        ]

    def text(self, stream: Sequence[int], iteration: int, *, pieces: TextPieces) -> Iterator[Episodes]:
        """This process's share of the pretraining text of each minibatch of this iteration, without end; the learner
        takes what it needs."""
        step = iteration * self.num_inner_epochs * (self.batch_size // self.minibatch_size)
        while True:
            found = text_batch(
                stream, num_pieces=pieces.num_pieces, length=pieces.num_tokens, step=step, seed=self._number(0)
            )
            rows = [[*piece.prompt, *piece.response] for piece in found[self.process :: self.num_processes]]
            yield text_episodes(rows, pad_token_id=pieces.pad_token_id, device=pieces.device)
            step += 1

    def _plan(self, iteration: int, *, epoch: int, micro_batch_size: int, own: Tensor | None = None) -> Plan:
        return make_plan(
            self.batch_size,
            minibatch_size=self.minibatch_size,
            micro_batch_size=micro_batch_size,
            seed=self._number(iteration * self.num_inner_epochs + epoch),
            own=own,
        )

    def _shuffled(self, position: int, num_items: int) -> int:
        epoch, index = divmod(position, num_items)
        order = torch.randperm(num_items, generator=torch.Generator().manual_seed(self._number(epoch, stream=0)))
        return int(order[index])

    def _number(self, counter: int, *, stream: int = 1) -> int:
        return (self.seed * 1_000_003 + stream) * 1_000_003 + counter


def warmed_up(peak: float, iteration: int, *, warmup_iterations: int) -> float:
    """Linear from a tenth of the peak to the peak over the warm-up, then constant (InstructGPT, appendix C.4)."""
    if iteration >= warmup_iterations:
        return peak
    return peak * (0.1 + 0.9 * iteration / warmup_iterations)


@dataclass(kw_only=True)
class Alarm:
    """Over-optimisation: the reward has risen since the start while the KL is past its budget.

    Both are means of the last `window` iterations, since single batches jump.
    """

    kl_budget: float
    window: int = 3
    rewards: list[float] = field(default_factory=list)
    kls: list[float] = field(default_factory=list)

    def update(self, *, reward: float, kl: float) -> None:
        self.rewards.append(reward)
        self.kls.append(kl)

    @property
    def over_budget(self) -> bool:
        return bool(self.kls) and _mean(self.kls[-self.window :]) > self.kl_budget

    @property
    def is_ringing(self) -> bool:
        start, now = _mean(self.rewards[: self.window]), _mean(self.rewards[-self.window :])
        return self.over_budget and now > start


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
