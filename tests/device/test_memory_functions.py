"""memset, memcpy and memmove of the on-device runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.device.simulated import run
from vrmpy_tune.measurement import Outcome

pytestmark = pytest.mark.device


@pytest.mark.slow
def test_they_equal_byte_loops_for_all_sizes_to_300_and_all_alignments() -> None:
    result = run("memory_check", "STRIDE=1", bytes_out=20)
    assert result.outcome is Outcome.OK, result.message
    wrong, *first = np.asarray(result.outputs[0][0]).view(np.int32)
    assert wrong == 0, f"first wrong: function, size, to, from = {first}"


# Measured, plus a little: a later compiler may schedule differently.  musl's memset takes two
# packets per byte.
@pytest.mark.parametrize(
    ("function", "to", "source", "size", "most"),
    [
        ("memset", 0, 0, 64, 24),
        ("memset", 0, 0, 1000, 40),
        ("memset", 5, 0, 1000, 40),
        ("memset", 0, 0, 4096, 70),
        ("memcpy", 0, 0, 64, 30),
        ("memcpy", 5, 9, 64, 34),
        ("memcpy", 0, 0, 128, 24),
        ("memcpy", 0, 0, 1000, 50),
        ("memcpy", 0, 5, 1000, 60),
        ("memcpy", 0, 0, 4096, 80),
        ("memcpy", 0, 5, 4096, 110),
        ("aligned memcpy", 0, 0, 1000, 60),
    ],
)
def test_they_take_few_packets(function: str, to: int, source: int, size: int, most: int) -> None:
    which = {"memset": 0, "memcpy": 1, "aligned memcpy": 3}[function]
    defines = (f"FUNCTION={which}", f"SIZE={size}", f"TO={to}", f"FROM={source}")
    (counts,) = run("memory_cost", *defines, bytes_in=8192, bytes_out=8192).counts
    print(f"\n{function} of {size} bytes at offsets {to}, {source}: {counts.packets_total} packets")
    assert counts.packets_total <= most
