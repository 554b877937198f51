"""Targets: names, what is refused, and what TVM and clang are told."""

from __future__ import annotations

import pytest

from vrmpy_tune.errors import TargetError
from vrmpy_tune.target import TARGETS, HexagonTarget, parse_target

ALL = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@ALL
def test_the_full_name_and_the_short_one_mean_the_same(target: HexagonTarget) -> None:
    assert parse_target(target.name) is target
    assert parse_target(target.arch) is target
    assert target.name == f"hexagon-v{target.version}"


@pytest.mark.parametrize("name", ["", "v", "v60", "68", "hexagon-", "hexagon-68", "V68", "cuda"])
def test_an_unknown_target_is_refused_with_the_names_that_exist(name: str) -> None:
    with pytest.raises(TargetError, match=rf"There is no target '{name}'\..*hexagon-v68") as caught:
        parse_target(name)
    assert caught.value.exit_code == 2


@ALL
def test_tvm_gets_llvm_for_hexagon_with_hvx_of_the_same_version(target: HexagonTarget) -> None:
    described = target.tvm_target()
    # The kind `hexagon` of TVM 0.27 generates code for the host.
    assert described.kind.name == "llvm"
    assert described.attrs["mtriple"].startswith("hexagon")
    assert described.attrs["mcpu"] == f"hexagon{target.arch}"
    assert list(described.attrs["mattr"]) == [f"+hvx{target.arch}", "+hvx-length128b"]
    assert int(described.attrs["num-cores"]) == target.contexts
    assert int(target.tvm_target(3, contexts=1).attrs["num-cores"]) == 1
    assert int(target.tvm_target(3).attrs["opt-level"]) == 3


@ALL
def test_vtcm_is_as_large_as_tvms_own_tag_says(target: HexagonTarget) -> None:
    from tvm.target import Target

    tag = Target(f"qcom/hexagon-{target.arch}")
    assert target.vtcm_bytes == int(tag.attrs["vtcm-capacity"])


def test_vector_by_vector_multiplies_pair_from_v69_on() -> None:
    # What the assembler accepts: tests/intrin/test_rules.py counts it in generated packets.
    rates = {target.arch: target.vector_pair_rate for target in TARGETS.values()}
    assert rates == {"v66": 1, "v68": 1, "v69": 2, "v73": 2, "v75": 2}


def test_only_v75_has_no_cpu_model() -> None:
    assert [target.arch for target in TARGETS.values() if not target.qemu_cpu] == ["v75"]
