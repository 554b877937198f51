"""Model files with a few bytes changed at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vrmpy_tune.errors import VrmpyTuneError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BYTES = 4
"""That are changed each time."""


def refusals(path: Path, opened: Callable[[Path], object], times: int, first: int = 0) -> int:
    """Open a file ``times`` times, damaged from byte ``first`` on; each refusal is a sentence."""
    generator = np.random.default_rng(0)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    count = 0
    for _ in range(times):
        damaged = whole.copy()
        places = generator.integers(first, whole.size, BYTES)
        damaged[places] = generator.integers(0, 256, places.size)
        path.write_bytes(damaged.tobytes())
        try:
            opened(path)
        except VrmpyTuneError as error:
            count += 1
            assert str(error).endswith(".")
    return count
