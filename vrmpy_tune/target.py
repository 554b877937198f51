"""The Hexagon targets that kernels are compiled for.

Constants: VTCM sizes are those of TVM's registered ``qcom/hexagon-*`` tags; HVX contexts in
128-byte mode are those of shipping parts (two on v66, four since v68); the v68 clock is the fit
of HARDWARE.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import TargetError

if TYPE_CHECKING:
    import tvm.target

VECTOR_BYTES: Final = 128
"""Bytes in one HVX vector register in 128-byte mode."""

LANES: Final = 32
"""32-bit lanes in one HVX vector register."""

REDUCE: Final = 4
"""Bytes that vrmpy multiplies and adds into one 32-bit lane."""


@dataclass(frozen=True)
class HexagonTarget:
    """One Hexagon architecture version.

    Attributes
    ----------
    arch:
        Architecture name, for example ``"v68"``.
    contexts:
        HVX contexts, that is hardware threads that can use the vector unit at once.
    vtcm_bytes:
        Size of the tightly coupled memory, in bytes.
    clock_mhz:
        Clock of a shipping part, in MHz; used only for time estimates.
    vector_pair_rate:
        Vector-by-vector vrmpy per packet, by what LLVM's assembler accepts (the vector-by-scalar
        forms issue two on all).
    qemu_cpu:
        CPU models of QEMU that run this architecture, best first; empty if there is none.
    """

    arch: str
    contexts: int
    vtcm_bytes: int
    clock_mhz: int
    vector_pair_rate: int
    qemu_cpu: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name users type and records carry, for example ``"hexagon-v68"``."""
        return f"hexagon-{self.arch}"

    @property
    def version(self) -> int:
        """The architecture as a number, for comparisons (``68``)."""
        return int(self.arch[1:])

    @property
    def cpu_flags(self) -> str:
        """The ``-mcpu`` value of clang for this architecture, HVX in 128-byte mode included."""
        return f"hexagon{self.arch}+hvx{self.arch}+hvx_length128b"

    def tvm_target(self, opt_level: int = 0, contexts: int | None = None) -> tvm.target.Target:
        """Return the TVM target that generates code for this architecture.

        The ``hexagon`` target kind of TVM 0.27 generates host code, hence kind ``llvm``.

        Parameters
        ----------
        opt_level:
            LLVM optimization level inside TVM: 0 where zig's clang optimizes later, else 3.
        contexts:
            Parallel tasks to plan for; all contexts of the target by default.
        """
        import tvm.target

        return tvm.target.Target(
            {
                "kind": "llvm",
                "mtriple": "hexagon-unknown-linux-musl",
                "mcpu": f"hexagon{self.arch}",
                "mattr": [f"+hvx{self.arch}", "+hvx-length128b"],
                "num-cores": contexts or self.contexts,
                "opt-level": opt_level,
            }
        )


_MIB: Final = 1 << 20

TARGETS: Final[dict[str, HexagonTarget]] = {
    target.name: target
    for target in (
        HexagonTarget("v66", 2, _MIB // 4, 1190, 1, ("v66", "v67")),
        HexagonTarget("v68", 4, 4 * _MIB, 1450, 1, ("v68", "v67")),
        HexagonTarget("v69", 4, 8 * _MIB, 1450, 2, ("v69", "v67")),
        HexagonTarget("v73", 4, 8 * _MIB, 1450, 2, ("v73", "v67")),
        HexagonTarget("v75", 4, 8 * _MIB, 1450, 2, ()),
    )
}
"""Every supported target by name."""


def parse_target(name: str) -> HexagonTarget:
    """Return the target called ``name`` (``"hexagon-v68"``, or ``"v68"`` for short).

    Raises
    ------
    TargetError
        If there is no such target; the message names those that exist.
    """
    key = name if name.startswith("hexagon-") else f"hexagon-{name}"
    try:
        return TARGETS[key]
    except KeyError:
        known = ", ".join(TARGETS)
        raise TargetError(f"There is no target '{name}'. Known targets: {known}.") from None
