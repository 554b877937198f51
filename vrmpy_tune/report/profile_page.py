"""A page about one run: layers over time, what bounds each, a roofline, and the kernels' code.

One file of HTML with its style and script inside; it needs no network.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.device.timing.estimate import PARTS
from vrmpy_tune.report.roofline import Point, ceilings, roofline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.device.timing.profile import Profile
    from vrmpy_tune.measurement import EstimatedTime
    from vrmpy_tune.workload import Workload

_HERE: Final = Path(__file__).parent
_MULTIPLY: Final = re.compile(r"\bvrmpy\b")

_EXPLANATIONS: Final = {
    "issue": "one packet after another",
    "interlock": "registers that are not ready",
    "l1": "scalar loads beyond L1",
    "l2": "the port of L2",
    "memory": "lines from beyond L2",
    "vtcm": "the port of VTCM",
    "dma": "transfers of the DMA that are waited for",
    "imbalance": "contexts that wait for the busiest",
    "overhead": "calls, forks and joins",
}
"""What the parts of a time are; ``page.css`` has a colour for each."""

_SHORT: Final = ("l1", "l2", "vtcm", "dma")
"""Parts whose names are abbreviations."""


@dataclass(frozen=True)
class PageLayer:
    """One layer of a run.

    Attributes
    ----------
    name, workload:
        What it is.
    packets:
        All its packets.
    time:
        Its estimated time.
    tir, assembly:
        The scheduled program, and what was made of it.
    """

    name: str
    workload: Workload
    packets: int
    time: EstimatedTime
    tir: str
    assembly: str

    @property
    def moved_bytes(self) -> int:
        """Bytes of all operands and of the output, each moved once."""
        tensors = (*self.workload.operands, self.workload.output)
        return sum(math.prod(one.shape) * np.dtype(one.numpy_type).itemsize for one in tensors)

    @property
    def intensity(self) -> float:
        """Multiply-accumulates for each byte moved."""
        return self.workload.macs / self.moved_bytes

    @property
    def rate(self) -> float:
        """Multiply-accumulates a nanosecond."""
        return self.workload.macs / self.time.nanoseconds

    @property
    def macs_per_packet(self) -> float:
        """Multiply-accumulates for each packet."""
        return self.workload.macs / max(1, self.packets)

    @property
    def mostly(self) -> str:
        """The part that takes longest, and how much of the time it is."""
        part = self.time.bottleneck
        share = dict(self.time.parts)[part] / self.time.nanoseconds
        return f"{_label(part)} {share:.0%}"

    @property
    def breakdown(self) -> str:
        """Its time and the parts of it, a line each, longest first."""
        parts = sorted(self.time.parts, key=lambda one: -one[1])
        lines = [
            f"{_label(part)} {ns / 1e3:,.2f} µs, {ns / self.time.nanoseconds:.0%}"
            for part, ns in parts
            if ns
        ]
        return "\n".join([f"{self.name}: {self.time.nanoseconds / 1e3:,.2f} µs", *lines])


def profile_page(title: str, layers: Sequence[PageLayer], profile: Profile, total_us: float) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    title:
        What ran.
    layers:
        Its layers, in order; at least one.
    profile:
        The device whose times they are.
    total_us:
        The whole call, in microseconds.
    """
    kernels = {str(layer.workload): layer for layer in layers}
    points = [
        Point(
            _row_name(number),
            f"{layer.name}: {layer.intensity:,.1f} MACs/byte, {layer.rate:,.0f} GMAC/s, "
            f"mostly {layer.mostly}",
            layer.time.bottleneck,
            layer.intensity,
            layer.rate,
            layer.time.nanoseconds,
        )
        for number, layer in enumerate(layers)
    ]
    pieces = [
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="lead">Estimated for {escape(profile.description)} '
        f"({escape(profile.metric)}). An estimate, not a measurement.</p>",
        _facts(layers, profile, total_us),
        "</header><main><h2>Layers over time</h2>",
        '<p class="note">A column for each layer, as wide as its time, filled by where the time '
        "went. Point at one to read it, click for its code.</p>",
        _strip(layers),
        _parts(layers),
        "<h2>Roofline</h2>",
        '<p class="note">What each layer reaches, against what it asks of memory if each byte of '
        "operands and output is moved once. Points grow with the time; "
        "colours are what most of it is.</p>",
        roofline(points, profile),
        "<h2>Layers</h2>",
        '<p class="note">Bars are as long as the times. Open a layer to read its scheduled program '
        "beside its assembly.</p>",
        '<div class="order"><button type="button" data-by="row" aria-pressed="true">in order'
        '</button><button type="button" data-by="time" aria-pressed="false">longest first'
        "</button></div>",
        _rows(layers, list(kernels), total_us),
        '</main><div id="tip" role="tooltip" hidden></div>',
        *(_kernel(number, layer) for number, layer in enumerate(kernels.values())),
    ]
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # An icon of its own, lest the browser ask for one.
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body>"
        + "\n".join(pieces)
        + f"<script>{script}</script></body></html>\n"
    )


def _facts(layers: Sequence[PageLayer], profile: Profile, total_us: float) -> str:
    macs = sum(layer.workload.macs for layer in layers)
    packets = sum(layer.packets for layer in layers)
    rate = macs / (total_us * 1e3)
    facts = {
        "time": f"{total_us:,.1f} µs",
        "multiply-accumulates": f"{rate:,.0f} GMAC/s <small>{rate / ceilings(profile)[0]:.0%} of "
        "the ceiling</small>",
        "packets": f"{packets:,} <small>{macs / max(1, packets):,.1f} MACs each</small>",
        "layers": f"{len(layers)}",
    }
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in facts.items())
        + "</dl>"
    )


def _strip(layers: Sequence[PageLayer]) -> str:
    """Return a column for each layer, in the colours of its parts, and an axis of the time."""
    total = sum(layer.time.nanoseconds for layer in layers)
    columns = []
    for number, layer in enumerate(layers):
        blocks = "".join(
            f'<i class="{part}" style="height:{100 * ns / layer.time.nanoseconds:.3f}%"></i>'
            for part, ns in layer.time.parts
            if ns
        )
        columns.append(
            f'<a href="#{_row_name(number)}" tabindex="-1" data-tip="{escape(layer.breakdown)}" '
            f'aria-label="{escape(layer.name)}" '
            f'style="width:{100 * layer.time.nanoseconds / total:.4f}%">{blocks}</a>'
        )
    ticks = "".join(f"<span>{total * part / 4e3:,.0f} µs</span>" for part in range(5))
    return f'<div class="strip">{"".join(columns)}</div><div class="ticks">{ticks}</div>'


def _parts(layers: Sequence[PageLayer]) -> str:
    """Return the key of the colours, with each part's share of the run."""
    total = sum(layer.time.nanoseconds for layer in layers)
    sums = dict.fromkeys(PARTS, 0)
    for layer in layers:
        for part, ns in layer.time.parts:
            sums[part] += ns
    entries = (
        f'<li><span class="swatch {part}"></span>{_label(part)} {sums[part] / total:.1%} '
        f"<small>{_EXPLANATIONS[part]}</small></li>"
        for part in PARTS
        if sums[part]
    )
    return f'<ul class="parts">{"".join(entries)}</ul>'


def _rows(layers: Sequence[PageLayer], kernels: list[str], total_us: float) -> str:
    longest = max(layer.time.nanoseconds for layer in layers)
    heads = "".join(
        f'<span class="{style}">{name}</span>'
        for style, name in (
            ("name", "layer"),
            ("bar-head", ""),
            ("time", "time"),
            ("share", "share"),
            ("mostly", "mostly"),
            ("wide", "GMAC/s"),
            ("wide", "MACs/<br>packet"),
            ("wide", "MACs/<br>byte"),
        )
    )
    rows = []
    for number, layer in enumerate(layers):
        kernel = kernels.index(str(layer.workload))
        others = [one.name for one in layers if str(one.workload) == str(layer.workload)]
        rows.append(
            f'<details class="layer" id="{_row_name(number)}" data-kernel="kernel-{kernel}" '
            f'data-row="{number}" data-time="{layer.time.nanoseconds}">'
            f"{_summary(layer, longest, total_us)}{_about(layer, others)}"
            '<div class="code"></div></details>'
        )
    return f'<div class="row head">{heads}</div><div id="layers">{"".join(rows)}</div>'


def _summary(layer: PageLayer, longest: int, total_us: float) -> str:
    blocks = "".join(
        f'<i class="{part}" style="width:{100 * ns / longest:.4f}%"></i>'
        for part, ns in layer.time.parts
        if ns
    )
    microseconds = layer.time.nanoseconds / 1e3
    return (
        f'<summary class="row"><span class="name">{escape(layer.name)}</span>'
        f'<span class="bar" data-tip="{escape(layer.breakdown)}">{blocks}</span>'
        f'<span class="time">{microseconds:,.2f} µs</span>'
        f'<span class="share">{microseconds / total_us:.1%}</span>'
        f'<span class="mostly"><span class="swatch {layer.time.bottleneck}"></span>'
        f"{layer.mostly}</span>"
        f'<span class="wide">{layer.rate:,.0f}</span>'
        f'<span class="wide">{layer.macs_per_packet:,.1f}</span>'
        f'<span class="wide">{layer.intensity:,.1f}</span></summary>'
    )


def _about(layer: PageLayer, users: Sequence[str]) -> str:
    bound = layer.workload.packet_bound
    shared = f"<br>One kernel for {escape(', '.join(users))}." if len(users) > 1 else ""
    _, *parts = layer.breakdown.split("\n")
    return (
        f'<p class="about">{escape(str(layer.workload))}<br>'
        f'<span class="note">{layer.packets:,} packets, bound {bound:,} '
        f"({bound / max(1, layer.packets):.0%}); {layer.macs_per_packet:,.1f} MACs/packet, "
        f"{layer.intensity:,.1f} MACs/byte, {layer.rate:,.0f} GMAC/s.<br>"
        f"{escape('; '.join(parts))}.{shared}</span></p>"
    )


def _kernel(number: int, layer: PageLayer) -> str:
    """Return a kernel's program and its assembly, to be shown side by side."""
    assembly = _MULTIPLY.sub("<mark>vrmpy</mark>", escape(layer.assembly))
    return (
        f'<template id="kernel-{number}">'
        '<section class="tir"><header><h3>Scheduled TIR</h3></header>'
        f'<pre tabindex="0" aria-label="Scheduled TIR">{escape(layer.tir)}</pre></section>'
        '<section class="assembly"><header><h3>Assembly</h3><button type="button"></button>'
        f'</header><pre tabindex="0" aria-label="Assembly">{assembly}</pre></section></template>'
    )


def _row_name(number: int) -> str:
    return f"layer-{number}"


def _label(part: str) -> str:
    return part.upper() if part in _SHORT else part
