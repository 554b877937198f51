"""Device profiles as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vrmpy_tune.device.timing.profile import (
    PARAMETERS,
    format_profile,
    load_profile,
    profile_names,
    read_profile,
)
from vrmpy_tune.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", profile_names())
def test_a_shipped_profile_is_complete_and_names_its_sources(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.metric == f"hvx-time/{name}/{profile.version}"
    assert set(profile.sources) == {*PARAMETERS, "clock_mhz"}


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    profile = load_profile("sd8gen1").with_values({"clock_mhz": 1234.5, "dram_ns": 17.25})
    path = tmp_path / "mine.toml"
    path.write_text(format_profile(profile))
    assert load_profile(str(path)) == profile


def test_times_become_ticks_of_the_clock() -> None:
    profile = load_profile("sd8gen1").with_values(
        {"clock_mhz": 2000, "dram_ns": 10, "l1_miss_cycles": 1.5}
    )
    line = profile.simulator_line().split()
    assert "dram_ticks=1280" in line
    assert "l1_miss_ticks=96" in line
    assert profile.nanoseconds(1280) == 10


@pytest.mark.parametrize("text", ["", "name =", "[parameters]\nclock_mhz = 1\n"])
def test_what_is_no_profile_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="not a device profile"):
        read_profile(path)


def test_a_profile_of_an_earlier_version_has_the_value_that_it_implied(tmp_path: Path) -> None:
    path = tmp_path / "earlier.toml"
    lines = format_profile(load_profile("sd8gen1")).splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("unaligned_lines")))
    assert read_profile(path).value("unaligned_lines") == 1


def test_a_profile_without_a_parameter_says_which(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    lines = format_profile(load_profile("sd8gen1")).splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("dram_ns")))
    with pytest.raises(UsageError, match="dram_ns"):
        read_profile(path)


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="sd8gen1"):
        load_profile("sd1")
