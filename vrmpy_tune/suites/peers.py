"""The 12 workloads that other systems were measured on, in the variants they were measured in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vrmpy_tune.measurement import QEMU_PACKETS
from vrmpy_tune.suites.peer_rows import Peer, peer_rows, peer_workloads, shape_named
from vrmpy_tune.suites.suite import Member, Suite


@dataclass(frozen=True)
class Variant:
    """One way to ask for the workloads.

    Attributes
    ----------
    name:
        Data types of activations, weights and output; ``-inside`` if the kernel pads.
    lhs, rhs:
        Data types of activations and weights.
    pad_inside:
        Whether the kernel pads the borders.
    fused:
        Fields of the epilogue.
    only_padded:
        Whether layers without padding are left out: they are in another variant.
    peers:
        What the peers' rows to compare with are: data types, and whether they include padding.
    like:
        Whether those peers compute the same; if not, ours does more than they do.
    """

    name: str
    lhs: str
    rhs: str
    pad_inside: bool = False
    fused: dict[str, object] = field(default_factory=dict, hash=False)
    only_padded: bool = False
    peers: tuple[str, str, str, bool] = ("u8", "u8", "i32", False)
    like: bool = True

    def may_compare(self, peer: Peer) -> bool:
        """Whether a peer's row stands beside this variant."""
        return peer.correct and self.peers == (peer.lhs, peer.rhs, peer.out, peer.pads_inside)


_REQUANTIZED: Final = ("u8", "u8", "u8", False)

VARIANTS: Final = (
    Variant("u8u8-i32", "u8", "u8"),
    Variant("u8i8-i32", "u8", "i8", peers=("u8", "i8", "i32", False)),
    Variant("i8i8-i32", "i8", "i8", peers=("i8", "i8", "i32", False)),
    Variant(
        "u8u8-i32-inside", "u8", "u8", pad_inside=True, only_padded=True,
        peers=("u8", "u8", "i32", True),
    ),
    Variant(
        "u8i8-i32-inside", "u8", "i8", pad_inside=True, only_padded=True,
        peers=("u8", "i8", "i32", True),
    ),
    # The requantizing peers add a bias and clip, too.
    Variant(
        "u8u8-u8", "u8", "u8", fused={"out": "u8", "requant": "tensor", "bias": 1},
        peers=_REQUANTIZED,
    ),
    Variant(
        "u8u8-u8-inside", "u8", "u8", pad_inside=True, only_padded=True,
        fused={"out": "u8", "requant": "tensor", "bias": 1}, peers=_REQUANTIZED, like=False,
    ),
    Variant(
        "u8i8-u8-inside", "u8", "i8", pad_inside=True,
        fused={"out": "u8", "requant": "channel", "bias": 1, "act": "relu"},
        peers=_REQUANTIZED, like=False,
    ),
)  # fmt: skip
"""All variants; the first four words of a peer's row tell which it is compared with."""


def variant_called(name: str) -> Variant | None:
    """Return a variant by name, or ``None``."""
    return next((one for one in VARIANTS if one.name == name), None)


def suite() -> Suite:
    """Return the suite ``peers``."""
    return Suite(
        "peers",
        "12 dense and convolution shapes that Halide, Hexagon NN, XNNPACK and tinygrad were "
        "measured on",
        tuple(member for variant in VARIANTS for member in _members(variant)),
        metric=QEMU_PACKETS,  # peers ran on one thread
    )


def _members(variant: Variant) -> list[Member]:
    macs = {row.workload: row.macs for row in peer_rows()}
    members = []
    for name in peer_workloads():
        types = {"lhs": variant.lhs, "rhs": variant.rhs}
        workload = shape_named(name, pad_inside=variant.pad_inside, **types, **variant.fused)
        if variant.only_padded and not any(getattr(workload, "pad", ())):
            continue
        members.append(
            Member(
                layer=name,
                variant=variant.name,
                text=str(workload),
                nominal_macs=macs[name],
                peer_workload=name,
            )
        )
    return members
