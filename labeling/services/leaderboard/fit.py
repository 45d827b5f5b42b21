"""The strengths that make the choices likeliest (Luce 1959; Plackett 1975; Hunter 2004 for both models at once).

A response is taken out of a set with the probability of its model's strength over the sum of the set's. The
log-likelihood is concave in the logarithms, so Newton's method finds the one maximum. One weak prior choice per model,
half won and half lost against a model of strength 1, keeps a model finite that won or lost everything.

Intervals redraw whole tasks. Each resample takes one Newton step from the maximum, with its own gradient: the
bootstrap's answer to first order, at the cost of one product of matrices however many rankings there are.

Shapes: M models, S sets, T tasks, B resamples.
"""

import numpy as np

from labeling.services.agreement.resampling import Resamples, rows
from labeling.services.leaderboard.choices import Choices, Floats

PRIOR = 0.5  # wins, and as many losses, of each model against one of strength 1
MAX_ITERATIONS = 200
LONGEST_STEP = 1.0  # in the logarithm: far from the maximum a full Newton step may leap over it
CLOSE = 1e-12


def strengths(choices: Choices, *, prior: float = PRIOR) -> Floats:
    """The logarithms, with mean 0. Without a prior they are finite only if every model can be reached by wins."""
    log_M = np.zeros(choices.num_models)
    for _ in range(MAX_ITERATIONS):
        step_M = np.linalg.lstsq(_curvature(choices, log_M, prior), _gradient(choices, log_M, prior), rcond=None)[0]
        log_M = log_M + step_M * min(1.0, LONGEST_STEP / max(abs(step_M).max(initial=0), CLOSE))
        if abs(step_M).max(initial=0) < CLOSE:
            break
    return log_M


def resampled(choices: Choices, log_M: Floats, resamples: Resamples, *, prior: float = PRIOR) -> Floats:
    """M × (1 + B): the strengths, then those of each resample."""
    gradient_TM = choices.taken_TM - choices.times_TS @ _chances(choices, log_M)
    tasks_T = np.arange(len(gradient_TM))
    (gradient_MB,) = resamples.all_sums(rows(task=tasks_T, group=np.zeros_like(tasks_T), num_groups=1), gradient_TM)
    gradient_MB = gradient_MB + _prior_gradient(log_M, prior)[:, None]
    step_MB = np.linalg.lstsq(_curvature(choices, log_M, prior), gradient_MB, rcond=None)[0]
    strengths_MB: Floats = log_M[:, None] + step_MB
    return strengths_MB


def _chances(choices: Choices, log_M: Floats) -> Floats:
    """S × M: how likely it is that a response of the model is taken out of the set."""
    weight_SM = choices.num_in_set_SM * np.exp(log_M - log_M.max(initial=0))
    chances: Floats = weight_SM / weight_SM.sum(axis=1, keepdims=True)
    return chances


def _times(choices: Choices) -> Floats:
    return np.asarray(choices.times_TS.sum(axis=0), dtype=np.float64).ravel()


def _gradient(choices: Choices, log_M: Floats, prior: float) -> Floats:
    gradient: Floats = choices.taken_TM.sum(axis=0) - _times(choices) @ _chances(choices, log_M)
    return gradient + _prior_gradient(log_M, prior)


def _prior_gradient(log_M: Floats, prior: float) -> Floats:
    gradient: Floats = prior - 2 * prior / (1 + np.exp(-log_M))
    return gradient


def _curvature(choices: Choices, log_M: Floats, prior: float) -> Floats:
    """Minus the second derivatives."""
    chances_SM, times_S = _chances(choices, log_M), _times(choices)
    won_M = 1 / (1 + np.exp(-log_M))
    curvature: Floats = np.diag(times_S @ chances_SM + 2 * prior * won_M * (1 - won_M))
    return curvature - (chances_SM * times_S[:, None]).T @ chances_SM
