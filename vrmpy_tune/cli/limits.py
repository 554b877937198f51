"""Limits of values of options, apart from :mod:`vrmpy_tune.cli.options`, which imports NumPy."""

from __future__ import annotations

from typing import Final

LARGEST: Final = 2**31 - 1
"""Largest value of an option that is a number or a seed: what stores and TVM take."""
