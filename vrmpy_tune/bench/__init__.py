"""Measuring suites: tuned kernels, untuned ones, and what other systems reach, side by side."""

from __future__ import annotations

from vrmpy_tune.bench.random_run import bench_random
from vrmpy_tune.bench.run import BenchReport, bench_suite

__all__ = ["BenchReport", "bench_random", "bench_suite"]
