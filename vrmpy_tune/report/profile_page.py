"""A page about one run: layers over time, what bounds each, a roofline, and the kernels' code.

One file of HTML with drawings in SVG; it needs no network and no script.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.device.timing.estimate import PARTS
from vrmpy_tune.target import VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.device.timing.profile import Profile
    from vrmpy_tune.measurement import EstimatedTime
    from vrmpy_tune.workload import Workload

MACS_PER_PACKET: Final = 2 * VECTOR_BYTES
"""What a packet multiplies at most: two vrmpy by scalars."""

_COLOURS: Final = dict(
    zip(
        PARTS,
        ("#4c78a8", "#9ecae9", "#f2cf5b", "#f58518", "#e45756", "#b279a2", "#bab0ac"),
        strict=True,
    )
)
_WIDTH: Final = 960
_ROW: Final = 16
_LABELS: Final = 260
_ROOF_HEIGHT: Final = 420
_MARGIN: Final = 56

_STYLE: Final = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; color: #222 }
table { border-collapse: collapse } td, th { padding: 2px 10px; text-align: right }
td:first-child, th:first-child { text-align: left } tr:nth-child(even) { background: #f4f4f4 }
.code { display: grid; grid-template-columns: 1fr 1fr; gap: 1em }
pre { overflow: auto; max-height: 40em; background: #f8f8f8; padding: 1em; font-size: 12px }
.key span { display: inline-block; width: 1em; height: 1em; margin: 0 .3em 0 1em }
svg text { font: 11px system-ui, sans-serif }
"""


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


def ceilings(profile: Profile) -> tuple[float, dict[str, float]]:
    """Return a device's MACs a nanosecond, and bytes a nanosecond of each memory, all contexts."""
    packets = profile.parameters["contexts"] * profile.clock_mhz / 1e3
    port = profile.parameters["l2_port_cycles"] * 1e3 / profile.clock_mhz
    line = profile.parameters["l2_line_bytes"]
    return packets * MACS_PER_PACKET / profile.parameters["packet_cycles"], {
        "L2": VECTOR_BYTES / port,
        "system cache": line / profile.parameters["system_cache_shared_ns"],
        "DRAM": line / profile.parameters["dram_shared_ns"],
    }


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
    pieces = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{total_us:,.2f} us estimated for {escape(profile.description)} "
        f"({escape(profile.metric)}), {len(layers)} layers. An estimate, not a measurement.</p>",
        "<h2>Layers over time</h2>",
        _key(),
        _timeline(layers),
        "<h2>Roofline</h2>",
        "<p>Multiply-accumulates a nanosecond against multiply-accumulates a byte, if each byte of "
        "operands and output is moved once.</p>",
        _roofline(layers, profile),
        "<h2>Layers</h2>",
        _table(layers, total_us),
        "<h2>Kernels</h2>",
        *_kernels(layers),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>"
        + "\n".join(pieces)
        + "</body></html>\n"
    )


def _key() -> str:
    parts = (f'<span style="background:{_COLOURS[part]}"></span>{part}' for part in PARTS)
    return f'<p class="key">{"".join(parts)}</p>'


def _timeline(layers: Sequence[PageLayer]) -> str:
    """Return a bar for each layer, where it lies in the run, in the colours of its parts."""
    scale = (_WIDTH - _LABELS) / sum(layer.time.nanoseconds for layer in layers)
    marks: list[str] = []
    x = float(_LABELS)
    for row, layer in enumerate(layers):
        y = row * _ROW
        marks.append(f'<text x="0" y="{y + 12}">{escape(layer.name)}</text>')
        for part, nanoseconds in layer.time.parts:
            width = nanoseconds * scale
            if width > 0:
                marks.append(
                    f'<rect x="{x:.2f}" y="{y + 1}" width="{width:.2f}" height="{_ROW - 2}" '
                    f'fill="{_COLOURS[part]}"><title>{escape(layer.name)}: {part} '
                    f"{nanoseconds / 1e3:,.2f} us</title></rect>"
                )
                x += width
    return _svg(len(layers) * _ROW, marks)


def _roofline(layers: Sequence[PageLayer], profile: Profile) -> str:
    compute, memories = ceilings(profile)
    lowest = min(1.0, *(layer.intensity for layer in layers))
    highest = max(1000.0, *(layer.intensity for layer in layers))
    slowest = min(memories.values()) * lowest
    most = max(2 * compute, *(layer.rate for layer in layers))
    least = min(compute / 1e3, slowest, *(layer.rate for layer in layers))

    def x(intensity: float) -> float:
        share = math.log(intensity / lowest) / math.log(highest / lowest)
        return _MARGIN + share * (_WIDTH - 2 * _MARGIN)

    def y(rate: float) -> float:
        share = math.log(rate / least) / math.log(most / least)
        return _ROOF_HEIGHT - _MARGIN - share * (_ROOF_HEIGHT - 2 * _MARGIN)

    marks = []
    for name, bandwidth in memories.items():
        ridge = min(max(compute / bandwidth, lowest), highest)
        start = min(bandwidth * lowest, compute)
        marks += [
            f'<polyline points="{x(lowest):.1f},{y(start):.1f} {x(ridge):.1f},'
            f'{y(min(compute, bandwidth * ridge)):.1f} {x(highest):.1f},{y(compute):.1f}" '
            'fill="none" stroke="#888"/>',
            f'<text x="{x(lowest) + 4:.1f}" y="{y(start) - 4:.1f}">{name} '
            f"{bandwidth:.0f} GB/s</text>",
        ]
    marks.append(
        f'<text x="{x(highest) - 130:.1f}" y="{y(compute) - 6:.1f}">{compute:.0f} GMAC/s</text>'
    )
    for layer in layers:
        marks.append(
            f'<circle cx="{x(layer.intensity):.1f}" cy="{y(layer.rate):.1f}" r="4" '
            f'fill="{_COLOURS[layer.time.bottleneck]}" fill-opacity="0.8"><title>'
            f"{escape(layer.name)}: {layer.intensity:.1f} MACs/byte, {layer.rate:.0f} GMAC/s, "
            f"mostly {layer.time.bottleneck}</title></circle>"
        )
    return _svg(_ROOF_HEIGHT, marks)


def _svg(height: int, marks: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}">{"".join(marks)}</svg>'
    )


def _table(layers: Sequence[PageLayer], total_us: float) -> str:
    head = "".join(
        f"<th>{name}</th>"
        for name in ("layer", "us", "share", "mostly", "GMAC/s", "MACs/packet", "MACs/byte")
    )
    rows = "".join(
        f"<tr><td>{escape(layer.name)}</td><td>{layer.time.nanoseconds / 1e3:,.2f}</td>"
        f"<td>{layer.time.nanoseconds / 1e3 / total_us:.1%}</td><td>{layer.time.bottleneck}</td>"
        f"<td>{layer.rate:,.0f}</td><td>{layer.workload.macs / max(1, layer.packets):.1f}</td>"
        f"<td>{layer.intensity:.1f}</td></tr>"
        for layer in layers
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _kernels(layers: Sequence[PageLayer]) -> list[str]:
    """Return for each distinct kernel its program and its assembly side by side."""
    users: dict[str, list[PageLayer]] = {}
    for layer in layers:
        users.setdefault(str(layer.workload), []).append(layer)
    return [
        f"<details><summary>{escape(text)} ({escape(', '.join(one.name for one in own))})</summary>"
        f'<div class="code"><pre>{escape(own[0].tir)}</pre>'
        f"<pre>{escape(own[0].assembly)}</pre></div></details>"
        for text, own in users.items()
    ]
