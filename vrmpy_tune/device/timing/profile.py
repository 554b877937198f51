"""Device profiles: what the timing model knows of a device, as named and versioned data."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import UsageError
from vrmpy_tune.regular import check_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY: Final = Path(__file__).parent / "profiles"

TICKS: Final = 64
"""Simulator's units of time in a cycle (``simulator/machine.h``)."""

PARAMETERS: Final = (
    "contexts", "packet_cycles", "early_source_packets", "scalar_load_packets",
    "scalar_multiply_packets", "store_to_load_packets", "l1_bytes", "l1_ways", "l1_line_bytes",
    "l1_miss_cycles", "l2_bytes", "l2_ways", "l2_line_bytes", "l2_port_cycles",
    "unaligned_lines", "system_cache_bytes", "system_cache_ways", "system_cache_ns",
    "system_cache_shared_ns", "dram_ns", "dram_shared_ns", "vtcm_bytes", "vtcm_port_cycles",
    "dma_latency_ns", "dma_line_ns", "fork_join_ns", "call_ns", "warm_calls",
)  # fmt: skip
"""Names of all parameters but the clock; ``machine.h`` says what they are, their ends the units."""

_ADDED_LATER: Final = {"unaligned_lines": 1.0}
"""Parameters that profiles written by earlier versions lack, with the value that was implied."""


@dataclass(frozen=True)
class Profile:
    """A device as the timing model sees it.

    Attributes
    ----------
    name, version:
        Both are part of the metric's name, so that figures of different models are never mixed.
    description:
        One line.
    clock_mhz:
        The processor's clock.
    parameters:
        Values by the names of :data:`PARAMETERS`.
    sources:
        For parameters, by name, where the value is from.
    """

    name: str
    version: int
    description: str
    clock_mhz: float
    parameters: Mapping[str, float]
    sources: Mapping[str, str]

    @property
    def metric(self) -> str:
        """Name of the metric of times estimated by this profile."""
        return f"hvx-time/{self.name}/{self.version}"

    def with_values(self, values: Mapping[str, float]) -> Profile:
        """Return a profile in which some parameters, or ``clock_mhz``, differ."""
        rest = dict(values)
        clock = rest.pop("clock_mhz", self.clock_mhz)
        return replace(self, clock_mhz=clock, parameters={**self.parameters, **rest})

    def value(self, name: str) -> float:
        """Return a parameter, or ``clock_mhz``."""
        return self.clock_mhz if name == "clock_mhz" else self.parameters[name]

    def simulator_line(self) -> str:
        """Return the parameters as the simulator reads them: whole numbers, times in ticks."""
        return " ".join(f"{name}={value}" for name, value in map(self._in_ticks, self.parameters))

    def nanoseconds(self, ticks: int) -> float:
        """Return a number of ticks as a time."""
        return ticks / TICKS * 1e3 / self.clock_mhz

    def _in_ticks(self, name: str) -> tuple[str, int]:
        value = self.parameters[name]
        stem, _, unit = name.rpartition("_")
        if unit == "cycles":
            return f"{stem}_ticks", round(value * TICKS)
        if unit == "ns":
            return f"{stem}_ticks", round(value * self.clock_mhz * 1e-3 * TICKS)
        return name, round(value)


def read_profile(path: Path) -> Profile:
    """Read a profile from a TOML file.

    Raises
    ------
    UsageError
        If it is not a complete profile.
    """
    try:
        check_regular(path)
        data = tomllib.loads(path.read_text())
        parameters = dict(data["parameters"])
        clock = float(parameters.pop("clock_mhz"))
        profile = Profile(
            str(data["name"]), int(data["version"]), str(data["description"]), clock,
            {name: float(value) for name, value in (_ADDED_LATER | parameters).items()},
            dict(data.get("sources", {})),
        )  # fmt: skip
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a device profile: {error}.") from error
    if set(profile.parameters) != set(PARAMETERS):
        wrong = sorted(set(profile.parameters) ^ set(PARAMETERS))
        raise UsageError(
            f"{path} is not a device profile: {', '.join(wrong)} missing or unknown. "
            f"Compare it with {DIRECTORY / 'sd8gen1.toml'}."
        )
    return profile


def format_profile(profile: Profile) -> str:
    """Return a profile as the text of a TOML file."""
    lines = [
        f'name = "{profile.name}"',
        f"version = {profile.version}",
        f'description = "{profile.description}"',
        "",
        "[parameters]",
        f"clock_mhz = {profile.clock_mhz:.10g}",
        *(f"{name} = {profile.parameters[name]:.10g}" for name in PARAMETERS),
        "",
        "[sources]",
        *(f'{name} = "{source}"' for name, source in profile.sources.items()),
    ]
    return "\n".join(lines) + "\n"


@cache
def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that ship."""
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.toml")))


def profile_of(metric: str) -> Profile:
    """Return the profile that a metric names.

    Raises
    ------
    UsageError
        If there is none of that version.
    """
    profile = load_profile(metric.split("/")[1])
    if profile.metric != metric:
        raise UsageError(f"The profile '{profile.name}' gives {profile.metric}, not {metric}.")
    return profile


@cache
def load_profile(name: str) -> Profile:
    """Return a profile that ships, by its name, or one of the user's, by its path.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name in profile_names():
        return read_profile(DIRECTORY / f"{name}.toml")
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return read_profile(path)
    raise UsageError(
        f"There is no device profile '{name}'. Name {', '.join(profile_names())} or a .toml file."
    )
