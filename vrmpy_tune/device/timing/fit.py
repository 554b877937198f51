"""Fitting parameters to measurements: damped least squares on the logarithms of times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_STEP: Final = 0.02
"""Relative step of finite differences; times are whole ticks, so that it must not be tiny."""

_ROUNDS: Final = 30
_FACTOR: Final = 4.0
_STOP: Final = 1e-5


def fit_logarithms(
    evaluate: Callable[[np.ndarray], np.ndarray], start: Sequence[float], measured: Sequence[float]
) -> np.ndarray:
    """Return positive parameters with which ``evaluate`` comes closest to ``measured``.

    Deterministic: Levenberg and Marquardt's method from one start, with the sum of squares of the
    logarithms of estimate / measurement.

    Parameters
    ----------
    evaluate:
        From parameters to as many positive estimates as there are measurements.
    start:
        Parameters to start from, all positive.
    measured:
        Positive measurements.
    """
    goal = np.log(np.asarray(measured, dtype=np.float64))
    logs = np.log(np.asarray(start, dtype=np.float64))

    def residuals(at: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(evaluate(np.exp(at))) - goal, dtype=np.float64)

    now = residuals(logs)
    damping = 1e-2
    for _ in range(_ROUNDS):
        columns = []
        for index in range(len(logs)):
            moved = logs.copy()
            moved[index] += _STEP
            columns.append((residuals(moved) - now) / _STEP)
        slope = np.stack(columns, axis=1)
        normal, gradient = slope.T @ slope, slope.T @ now
        improved = False
        while damping < 1e6:
            scale = damping * (np.diag(np.diag(normal)) + 1e-9 * np.eye(len(logs)))
            step = np.clip(-np.linalg.solve(normal + scale, gradient), -0.5, 0.5)
            tried = residuals(logs + step)
            if tried @ tried < now @ now:
                gain = 1 - (tried @ tried) / (now @ now)
                logs, now, damping, improved = logs + step, tried, damping / _FACTOR, True
                break
            damping *= _FACTOR
        if not improved or gain < _STOP:
            break
    return np.asarray(np.exp(logs), dtype=np.float64)
