"""Layers for pages that nothing ran for."""

from __future__ import annotations

from vrmpy_tune.device.timing.estimate import PARTS
from vrmpy_tune.device.timing.profile import load_profile
from vrmpy_tune.measurement import HVX_TIME_8GEN1, EstimatedTime
from vrmpy_tune.report.profile_page import PageLayer
from vrmpy_tune.workload import parse_workload

PROFILE = load_profile("sd8gen1")


def layer(name: str, text: str, memory: int = 10, others: int = 20) -> PageLayer:
    """Return a layer by its workload's text, and the nanoseconds that its parts take."""
    parts = tuple((part, memory if part == "memory" else others) for part in PARTS)
    time = EstimatedTime(HVX_TIME_8GEN1, sum(ns for _, ns in parts), parts)
    assembly = "\t{ v0.uw = vrmpy(v1.ub,r0.ub) }"
    return PageLayer(name, parse_workload(text), 1000, time, "# <tir> & more", assembly)
