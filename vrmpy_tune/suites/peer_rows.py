"""What other systems reach on the same simulator: the rows of ``peers.csv``.

All rows are packets of one thread, with NHWC or row-major activations and packed weights.  Unless
its system's name says "padding included", a row takes an input whose borders are padded already,
and in the stem the channels, to 4 (HARDWARE.md, "The bar").
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from vrmpy_tune.workload import Conv2d, Dense, Workload

PADDING_INCLUDED: Final = "padding included"
WEIGHT_ZERO_POINT: Final = "filter zero point 128"
"""What a system's name says of its rows."""

STEM_CHANNELS: Final = 4
"""Channels that the peers' inputs are padded to at least: one word of vrmpy."""

_BUILT_FOR: Final = re.compile(r"built for v(\d+)")
_DENSE: Final = re.compile(r"dense M(\d+) N(\d+) K(\d+)")
_CONV: Final = re.compile(r"conv (\d+)x(\d+)x(\d+)->(\d+) k(\d+) s(\d+) p(\d+)")
_DEFAULT_VERSION: Final = 68


@dataclass(frozen=True)
class Peer:
    """One row of ``peers.csv``.

    Attributes
    ----------
    workload, system:
        Their names there.
    lhs, rhs, out:
        Data types of activations, weights and output.
    packets, macs:
        Packets of one thread, and the layer's multiply-accumulates.
    correct:
        Whether the output was right.
    """

    workload: str
    system: str
    lhs: str
    rhs: str
    out: str
    packets: int
    macs: int
    correct: bool

    @property
    def pads_inside(self) -> bool:
        """Whether the figure includes padding the borders."""
        return PADDING_INCLUDED in self.system

    @property
    def version(self) -> int:
        """Architecture version that it was built for; later ones run it, too."""
        found = _BUILT_FOR.search(self.system)
        return int(found[1]) if found else _DEFAULT_VERSION

    @property
    def counts(self) -> list[str]:
        """What the figure includes besides multiplying and storing the output."""
        included = ["padding"] if self.pads_inside else []
        if "window sum" in self.system or "offset" in self.system:
            included.append("activation sums")
        if self.out != "i32":
            included += ["bias", "requantize"]
        return included

    def computes(self) -> Workload:
        """Return the workload that the row is a figure of."""
        fused: dict[str, object] = {"lhs": self.lhs, "rhs": self.rhs}
        if self.out != "i32":
            fused |= {"out": self.out, "requant": "tensor", "bias": 1}
        if WEIGHT_ZERO_POINT in self.system:
            fused["rzp"] = 128
        return shape_named(self.workload, pad_inside=self.pads_inside, **fused)


def shape_named(name: str, *, pad_inside: bool, **fields: object) -> Workload:
    """Return the workload that ``peers.csv`` calls ``name``.

    Parameters
    ----------
    pad_inside:
        Whether the kernel pads; else the workload has an enlarged input and no padding.
    fields:
        The other fields of the workload: data types and epilogue.
    """
    if dense := _DENSE.fullmatch(name):
        m, n, k = map(int, dense.groups())
        return Dense(m=m, n=n, k=k, **fields)  # type: ignore[arg-type]
    conv = _CONV.fullmatch(name)
    assert conv is not None, f"{name} in peers.csv is neither a dense nor a convolution"
    h, w, ci, co, kernel, stride, pad = map(int, conv.groups())
    if not pad_inside:
        h, w, ci, pad = h + 2 * pad, w + 2 * pad, max(ci, STEM_CHANNELS), 0
    return Conv2d(
        n=1, h=h, w=w, ci=ci, co=co, kh=kernel, kw=kernel, stride=(stride, stride),
        pad=(pad,) * 4, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


@cache
def peer_rows() -> tuple[Peer, ...]:
    """Return all rows, in the file's order."""
    text = (files("vrmpy_tune.suites") / "peers.csv").read_text(encoding="utf-8")
    return tuple(
        Peer(
            row["workload"], row["system"], row["activation"], row["weight"], row["output"],
            int(row["packets"]), int(row["macs"]), row["correct"] == "yes",
        )
        for row in csv.DictReader(text.splitlines())
    )  # fmt: skip


@cache
def peer_workloads() -> tuple[str, ...]:
    """Return the names of the workloads, in the file's order."""
    return tuple(dict.fromkeys(row.workload for row in peer_rows()))
