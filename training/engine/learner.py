"""PPO's learning step: clipped policy and value losses, the pretraining gradient, clipping, and the moving average.

Shape legend: B episodes, R response positions. Masks are boolean and True means keep.
The losses are means over the response tokens of a whole minibatch, so cutting it into micro-batches changes nothing but
rounding; sharing it between processes, whose gradients are added up, neither. The pretraining loss is a mean over its
text tokens, and γ (`ptx_coef`) multiplies that mean.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor

from training.engine import sharding
from training.engine.advantages import masked_mean
from training.engine.experience import Experience, Plan
from training.engine.models import learning
from training.engine.optim import NonFiniteError, trainable
from training.engine.ppo_losses import policy_loss, value_loss
from training.engine.processes import ALONE, Processes
from training.engine.scoring import Episodes, response_logprobs, response_values
from training.engine.sharding import asked

Figures = dict[str, float]
Parameters = Sequence[Tensor]
_ANY_ROW: Final = torch.zeros(1, dtype=torch.long)

LARGEST: Final = ("ppo/ratio_error",)
"""Figures of which the largest counts; of the others the mean over tokens."""


@dataclass(frozen=True, kw_only=True)
class LearningRule:
    """The numbers of the learning step."""

    clip_range: float
    value_clip_range: float
    value_coef: float
    ptx_coef: float
    ptx_micro_batch_size: int
    max_grad_norm: float
    temperature: float


@dataclass(frozen=True, kw_only=True)
class Learner:
    """The two models that learn, each with its own optimiser."""

    policy: Any
    value: Any
    policy_optimizer: torch.optim.Optimizer
    value_optimizer: torch.optim.Optimizer
    rule: LearningRule
    autocast: Callable[[], AbstractContextManager[Any]]
    processes: Processes = ALONE

    def learn(self, batch: Experience, plans: Sequence[Plan], ptx: Iterator[Episodes]) -> Figures:
        """One optimiser step per minibatch of every plan; the mean of each figure over those steps.

        `ptx` gives the text of each minibatch; it is not read when γ is 0.
        """
        steps: list[Figures] = []
        for minibatch in (minibatch for plan in plans for minibatch in plan):
            steps.append(self._step(batch, minibatch, ptx, is_first=not steps))
        return _mean_figures(steps)

    def _step(
        self, batch: Experience, minibatch: Sequence[Tensor], ptx: Iterator[Episodes], *, is_first: bool
    ) -> Figures:
        with learning(self.policy), learning(self.value):
            figures = self._accumulate_ppo(batch, minibatch)
            if is_first:
                figures["ppo/first_ratio_error"] = figures["ppo/ratio_error"]
            if self.rule.ptx_coef:
                figures |= self._accumulate_ptx(next(ptx), measure_ratio=is_first)
            else:
                self._sum_gradients(self.policy, self._policy_weights)
            self._sum_gradients(self.value, self._value_weights)
        for name, metric, weights, optimizer in (
            ("policy", "ppo/policy_gradient_norm", self._policy_weights, self.policy_optimizer),
            ("value", "ppo/value_gradient_norm", self._value_weights, self.value_optimizer),
        ):
            norm = _clip(weights, self.rule.max_grad_norm)
            figures[metric] = norm
            if not math.isfinite(norm):
                raise NonFiniteError(f"the gradient of the {name} is not finite", _tensors(batch, minibatch))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return figures

    def _accumulate_ppo(self, batch: Experience, minibatch: Sequence[Tensor]) -> Figures:
        """Gradients of policy and value loss of one minibatch, micro-batch by micro-batch."""
        num_tokens = self.processes.sum(sum(int(batch.episodes.mask_BR[rows].sum()) for rows in minibatch))
        figures: Figures = {}
        for rows, factor in sharding.evened(self.policy, minibatch, self.processes, spare=_ANY_ROW):
            part = batch.episodes.rows(rows)
            share = int(part.mask_BR.sum()) / num_tokens
            for loss_of in (self._policy_loss, self._value_loss):  # in turn: one graph's activations at a time
                loss, found = loss_of(batch, rows, part)
                if not bool(torch.isfinite(loss)):
                    raise NonFiniteError("the PPO loss is not finite", _tensors(batch, minibatch))
                (loss * (share * factor)).backward()  # type: ignore[no-untyped-call]
                if factor:
                    _add(figures, found, share)
        return self.processes.sum_figures(figures, largest=LARGEST)

    def _policy_loss(self, batch: Experience, rows: Tensor, part: Episodes) -> tuple[Tensor, Figures]:
        width = part.mask_BR.shape[1]
        with self.autocast():
            logprobs_BR = asked(self.policy, response_logprobs, part, temperature=self.rule.temperature)
        found = policy_loss(
            logprobs_BR,
            batch.old_logprobs_BR[rows, :width],
            batch.advantages_BR[rows, :width],
            part.mask_BR,
            clip=self.rule.clip_range,
        )
        return found.loss, {
            "ppo/policy_loss": float(found.loss.detach()),
            "ppo/policy_clip_fraction": float(found.clip_fraction),
            "ppo/approx_kl": float(found.approx_kl),
            "ppo/ratio": float(found.ratio_mean),
            "ppo/ratio_error": float(found.ratio_max_error),
        }

    def _value_loss(self, batch: Experience, rows: Tensor, part: Episodes) -> tuple[Tensor, Figures]:
        width = part.mask_BR.shape[1]
        with self.autocast():
            values_BR = asked(self.value, response_values, part)
        found = value_loss(
            values_BR,
            batch.old_values_BR[rows, :width],
            batch.returns_BR[rows, :width],
            part.mask_BR,
            clip=self.rule.value_clip_range,
        )
        return self.rule.value_coef * found.loss, {
            "ppo/value_loss": float(found.loss.detach()),
            "ppo/value_clip_fraction": float(found.clip_fraction),
        }

    def _accumulate_ptx(self, text: Episodes, *, measure_ratio: bool) -> Figures:
        """Add γ times the gradient of the pretraining loss to the policy's PPO gradient, over all processes."""
        parameters = self._policy_weights
        if measure_ratio:
            self._sum_gradients(self.policy, parameters)
        ppo_gradients = [_gradient(parameter).clone() for parameter in parameters] if measure_ratio else []
        if measure_ratio:
            self.policy_optimizer.zero_grad(set_to_none=True)
        loss = self._backward_text(text)
        self._sum_gradients(self.policy, parameters)
        figures = {"ppo/ptx_loss": loss}
        if measure_ratio:
            ptx_norm = _norm([_gradient(parameter) for parameter in parameters])
            figures["ppo/ptx_gradient_ratio"] = _norm(ppo_gradients) / max(ptx_norm, 1e-12)
            for parameter, gradient in zip(parameters, ppo_gradients, strict=True):
                parameter.grad = _gradient(parameter) + gradient
        return figures

    def _backward_text(self, text: Episodes) -> float:
        num_tokens, total = self.processes.sum(int(text.mask_BR.sum())), 0.0
        pieces = torch.split(torch.arange(len(text)), self.rule.ptx_micro_batch_size)
        for rows, factor in sharding.evened(self.policy, pieces, self.processes, spare=_ANY_ROW):
            part = text.rows(rows)
            with self.autocast():
                logprobs_BR = asked(self.policy, response_logprobs, part, temperature=1.0)
            loss = -masked_mean(logprobs_BR, part.mask_BR) * (int(part.mask_BR.sum()) / num_tokens)
            if not bool(torch.isfinite(loss)):
                raise NonFiniteError("the pretraining loss is not finite", {"input_ids": part.input_ids_BT})
            (self.rule.ptx_coef * factor * loss).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) if factor else 0.0
        return self.processes.sum(total)

    def _sum_gradients(self, model: Any, weights: Parameters) -> None:
        """Those of a sharded model are sums over the processes already."""
        if not sharding.is_sharded(model):
            self.processes.sum_gradients(weights)

    @cached_property
    def _policy_weights(self) -> Parameters:
        return trainable(self.policy)

    @cached_property
    def _value_weights(self) -> Parameters:
        return trainable(self.value)


@torch.no_grad()
def update_average(average: Parameters, current: Parameters, *, decay: float) -> None:
    """average ← decay · average + (1 − decay) · current, in place and in fp32."""
    for old, new in zip(average, current, strict=True):
        old.lerp_(new.to(old.dtype), 1 - decay)


def _clip(parameters: Parameters, max_norm: float) -> float:
    """Scale the gradients down to `max_norm` (0: never) and give the norm they had."""
    found = torch.nn.utils.get_total_norm([_gradient(parameter) for parameter in parameters])
    norm = float(sharding.whole(found))
    if max_norm and math.isfinite(norm) and norm > max_norm:
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, found)
    return norm


def _norm(gradients: Parameters) -> float:
    return float(sharding.whole(torch.nn.utils.get_total_norm(gradients)))


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _add(figures: Figures, part: Figures, share: float) -> None:
    """Take up the figures of a micro-batch that holds this share of the tokens."""
    for name, value in part.items():
        known = figures.get(name, 0.0)
        figures[name] = max(known, value) if name in LARGEST else known + share * value


def _mean_figures(steps: Sequence[Figures]) -> Figures:
    names = dict.fromkeys(name for step in steps for name in step)
    values = {name: [step[name] for step in steps if name in step] for name in names}
    return {name: sum(found) / len(found) for name, found in values.items()}


def _tensors(batch: Experience, minibatch: Sequence[Tensor]) -> dict[str, Tensor]:
    return {
        "rows": torch.cat(list(minibatch)),
        "input_ids": batch.episodes.input_ids_BT,
        "attention_mask": batch.episodes.attention_mask_BT,
        "response_mask": batch.episodes.mask_BR,
        "old_logprobs": batch.old_logprobs_BR,
        "old_values": batch.old_values_BR,
        "advantages": batch.advantages_BR,
        "returns": batch.returns_BR,
    }
