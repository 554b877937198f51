"""Fitting parameters to measurements."""

from __future__ import annotations

import numpy as np
import pytest

from vrmpy_tune.device.timing.fit import fit_logarithms

SIZES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])


def model(parameters: np.ndarray) -> np.ndarray:
    overhead, each = parameters
    return np.asarray(overhead + each * SIZES)


@pytest.mark.parametrize("start", [(1.0, 1.0), (100.0, 0.01), (0.01, 50.0)])
def test_parameters_of_an_exact_model_are_found_from_anywhere(start: tuple[float, float]) -> None:
    found = fit_logarithms(model, start, model(np.array([7.0, 0.3])))
    assert found == pytest.approx([7.0, 0.3], rel=1e-3)


def test_a_fit_is_the_same_twice() -> None:
    measured = model(np.array([7.0, 0.3])) * np.linspace(0.9, 1.1, len(SIZES))
    first, second = (fit_logarithms(model, (1.0, 1.0), measured) for _ in range(2))
    assert (first == second).all()
