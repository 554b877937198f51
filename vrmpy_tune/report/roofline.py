"""The roofline of a profile page: what layers reach, against what a device could do.

Lines are in SVG that stretches with the page; points and texts are elements of HTML at the same
places, so that they keep their size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from vrmpy_tune.target import VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vrmpy_tune.device.timing.profile import Profile

MACS_PER_PACKET: Final = 2 * VECTOR_BYTES
"""What a packet multiplies at most: two vrmpy by scalars."""

_ROOM: Final = 1.1
"""Factor between the outermost values and the ends of an axis, at least."""

_LABELS_AT: Final = 0.65
"""How far up a memory's line its name stands."""

_SMALLEST: Final = 9.0
_LARGEST: Final = 26.0
"""Diameters of points in pixels, for no time and for the longest; areas grow with the time."""


@dataclass(frozen=True)
class Point:
    """A layer in the drawing.

    Attributes
    ----------
    link:
        Name of the element that tells more of it.
    text:
        What it says when pointed at.
    style:
        Class of its colour.
    intensity, rate:
        Multiply-accumulates for each byte, and in a nanosecond; both positive.
    time:
        How long it takes, in any unit.
    """

    link: str
    text: str
    style: str
    intensity: float
    rate: float
    time: float


@dataclass(frozen=True)
class _Axis:
    """A logarithmic axis from ``low`` to ``high``, which are round numbers."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float]) -> _Axis:
        """Return the axis on which all values have some room around them."""
        known = list(values)
        lowest, highest = min(known) / _ROOM, max(known) * _ROOM
        powers = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
        round_numbers = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        low = max(number for number in round_numbers if number <= lowest)
        return cls(low, min(number for number in round_numbers if number >= highest))

    def percent(self, value: float) -> float:
        return 100 * math.log(value / self.low) / math.log(self.high / self.low)

    @property
    def ticks(self) -> list[float]:
        """Its ends and the powers of ten between them."""
        powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        return sorted({self.low, self.high, *(10.0**power for power in powers)})


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


def roofline(points: Sequence[Point], profile: Profile) -> str:
    """Return the drawing as HTML; there is at least one point."""
    compute, memories = ceilings(profile)
    ridges = [compute / bandwidth for bandwidth in memories.values()]
    across = _Axis.over([*(point.intensity for point in points), *ridges])
    slowest = min(memories.values()) * across.low
    up = _Axis.over([*(point.rate for point in points), compute, slowest])
    marks = [_text("x", _number(tick), left=across.percent(tick)) for tick in across.ticks]
    marks += [_text("y", _number(tick), top=100 - up.percent(tick)) for tick in up.ticks]
    marks += [
        '<span class="title-x">multiply-accumulates a byte</span>',
        '<span class="title-y">GMAC/s</span>',
    ]
    roofs = [_path(across, up, [(across.low, compute), (across.high, compute)])]
    marks.append(_text("top", f"{compute:,.0f} GMAC/s", left=100.0, top=100 - up.percent(compute)))
    # The lowest is labelled below, since those above it can be close.
    lowest = min(memories, key=memories.__getitem__)
    for name, bandwidth in memories.items():
        ridge = compute / bandwidth
        roofs.append(_path(across, up, [(across.low, bandwidth * across.low), (ridge, compute)]))
        middle = across.low * (ridge / across.low) ** _LABELS_AT
        marks.append(
            _text(
                "under" if name == lowest else "over",
                name,
                f" {bandwidth:,.0f} GB/s",
                left=across.percent(middle),
                top=100 - up.percent(bandwidth * middle),
            )
        )
    grid = [_path(across, up, [(tick, up.low), (tick, up.high)]) for tick in across.ticks]
    grid += [_path(across, up, [(across.low, tick), (across.high, tick)]) for tick in up.ticks]
    longest = max(point.time for point in points)
    return (
        '<div class="plot"><svg viewBox="0 0 100 100" preserveAspectRatio="none" '
        'aria-hidden="true">'
        f'<path class="grid" d="{" ".join(grid)}"/>'
        + "".join(f'<path class="roof" d="{path}"/>' for path in roofs)
        + "</svg>"
        + "".join(marks)
        + "".join(_point(point, longest, across, up) for point in points)
        + "</div>"
    )


def _point(point: Point, longest: float, across: _Axis, up: _Axis) -> str:
    size = math.sqrt(_SMALLEST**2 + point.time / longest * (_LARGEST**2 - _SMALLEST**2))
    return (
        f'<a class="point {point.style}" href="#{point.link}" tabindex="-1" '
        f'data-tip="{escape(point.text)}" aria-label="{escape(point.text)}" '
        f'style="left:{across.percent(point.intensity):.3f}%;'
        f'top:{100 - up.percent(point.rate):.3f}%;--size:{size:.1f}px"></a>'
    )


def _path(across: _Axis, up: _Axis, ends: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{across.percent(x):.3f} {100 - up.percent(y):.3f}" for x, y in ends)


def _text(style: str, text: str, rest: str = "", **places: float) -> str:
    at = ";".join(f"{side}:{percent:.3f}%" for side, percent in places.items())
    more = f'<span class="narrow-off" style="position:static">{rest}</span>' if rest else ""
    return f'<span class="{style}" style="{at}">{escape(text)}{more}</span>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
