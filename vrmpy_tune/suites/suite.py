"""What a suite is: members, each a workload with its place in the network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vrmpy_tune.errors import UsageError, WorkloadError
from vrmpy_tune.measurement import DEFAULT_METRIC
from vrmpy_tune.workload import Workload, parse_workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Member:
    """One workload of a suite.

    Attributes
    ----------
    layer:
        What the network or the peers call it.
    variant:
        Which of the suite's variants it belongs to: data types, output, padding.
    text:
        The workload's text.  It is parsed when it is used, so that one operator that this version
        lacks does not cost the others.
    count:
        How often the network computes it.
    nominal_macs:
        Multiply-accumulates of the layer before its input was padded to more channels; those of the
        workload by default.
    peer_workload:
        The name in ``peers.csv`` whose rows it may be compared with.
    """

    layer: str
    variant: str
    text: str
    count: int = 1
    nominal_macs: int | None = None
    peer_workload: str | None = None

    def workload(self) -> Workload:
        """Parse the text; raises :class:`~vrmpy_tune.errors.WorkloadError` if that fails."""
        return parse_workload(self.text)

    def canonical(self) -> Member:
        """Return the member with its canonical text, as far as this version can parse it."""
        try:
            return replace(self, text=str(self.workload()))
        except WorkloadError:
            return self

    @property
    def macs(self) -> int:
        """Multiply-accumulates that the layer asks for."""
        return self.nominal_macs if self.nominal_macs is not None else self.workload().macs


@dataclass(frozen=True)
class Suite:
    """A named set of workloads.

    Attributes
    ----------
    name, description:
        What users type, and one line of explanation.
    members:
        Distinct workloads in the network's order, variant by variant.
    metric:
        What a benchmark of it measures, unless told otherwise.
    """

    name: str
    description: str
    members: tuple[Member, ...]
    metric: str = DEFAULT_METRIC

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants, in order."""
        return tuple(dict.fromkeys(member.variant for member in self.members))

    def select(self, variants: Sequence[str] = ()) -> tuple[Member, ...]:
        """Return the members of some variants, texts canonical; of all by default.

        Raises
        ------
        UsageError
            If a variant does not exist; the message names those that do.
        """
        for name in variants:
            if name not in self.variants:
                raise UsageError(
                    f"The suite {self.name} has no variant '{name}'; "
                    f"use one of {', '.join(self.variants)}."
                )
        return tuple(
            one.canonical() for one in self.members if not variants or one.variant in variants
        )


def distinct(layers: Iterable[Member]) -> tuple[Member, ...]:
    """Join layers that compute the same workload in the same variant; their counts add up."""
    found: dict[tuple[str, str], Member] = {}
    for layer in layers:
        key = (layer.variant, layer.text)
        known = found.get(key)
        found[key] = replace(known, count=known.count + layer.count) if known else layer
    return tuple(found.values())
