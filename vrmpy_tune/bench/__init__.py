"""Measuring suites: tuned kernels, untuned ones, and what other systems reach, side by side."""

from __future__ import annotations

from vrmpy_tune.bench.run import BenchReport, bench_suite

__all__ = ["BenchReport", "bench_suite"]
