"""Random graphs are refused in words, or within one unit of onnxruntime layer by layer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.model.random_graphs import outcome, random_graph, reason_of

if TYPE_CHECKING:
    from pathlib import Path

FEW, MANY = 200, 5_000


def swept(path: Path, seeds: range) -> None:
    """Check the graphs of some seeds and print what became of them."""
    kinds: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    reasons: Counter[str] = Counter()
    failed = []
    for seed in seeds:
        found = outcome(random_graph(path, seed))
        kinds[bool(seed % 2)][found.kind] += 1
        if found.kind == "refused":
            reasons[reason_of(found.message)] += 1
        if found.kind in ("wrong", "broken"):
            failed.append(f"{seed}: {found.kind}: {found.message}")
    print(f"\nof supported parts: {dict(kinds[False])}; others: {dict(kinds[True])}")
    for reason, number in reasons.most_common():
        print(f"{number:>5} {reason}")
    assert not failed, "\n".join(failed)
    # Refusing everything would be right, and worthless.
    supported = kinds[False]
    assert supported["accepted"] >= supported.total() / 2


def test_random_graphs_are_right_or_refused(tmp_path: Path) -> None:
    swept(tmp_path / "m.onnx", range(FEW))


@pytest.mark.slow_sweep
@pytest.mark.timeout(3_600)
def test_many_random_graphs_are_right_or_refused(tmp_path: Path) -> None:
    swept(tmp_path / "m.onnx", range(FEW, FEW + MANY))
