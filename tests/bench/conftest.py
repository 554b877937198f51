from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.tune.fakes import FakePool, fake_object, oracle
from tests.tuned import CONV, DENSE, UNKNOWN, V68, tuned_store
from vrmpy_tune.bench import BenchReport, bench_suite
from vrmpy_tune.device.fake import FakeDevice
from vrmpy_tune.suites import Member, Suite
from vrmpy_tune.workload import parse_workload

Bench = Callable[..., BenchReport]

UNHEARD: str = "softmax:n=7"
"""The text of an operator that no version has."""

TINY = Suite(
    "tiny",
    "small workloads with and without records",
    (
        Member("a layer", "first", DENSE, count=3),
        Member("another", "first", CONV),
        Member("unknown", "second", UNKNOWN),
        Member("unheard of", "second", UNHEARD),
    ),
)


def without_compiler(monkeypatch: pytest.MonkeyPatch, device: FakeDevice | None = None) -> None:
    """Let benchmarks run on a fake device, by default one that computes what is right."""
    known = [parse_workload(text) for text in (DENSE, CONV, UNKNOWN)]
    tuned_store()  # with the real compiler and device, before they are replaced

    def opened(_: str) -> FakeDevice:
        return device or FakeDevice(oracle(*known), slots=2)

    for module in ("vrmpy_tune.bench.run", "vrmpy_tune.tune.run"):
        monkeypatch.setattr(f"{module}.open_device", opened)
        monkeypatch.setattr(f"{module}.CodegenPool", lambda _: FakePool())
    for module in ("vrmpy_tune.compiler.kernel", "vrmpy_tune.tune.evaluator"):
        monkeypatch.setattr(f"{module}.to_object", fake_object)


@pytest.fixture
def fake_bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Measure :data:`TINY` on a fake device and without a compiler, with the tuned store."""

    def run(device: FakeDevice | None = None, **options: Any) -> BenchReport:
        without_compiler(monkeypatch, device)
        defaults: dict[str, Any] = {"records": [str(tuned_store())], "metric": "qemu-packets/1"}
        return bench_suite(TINY, target=V68, **{**defaults, **options})

    return run
