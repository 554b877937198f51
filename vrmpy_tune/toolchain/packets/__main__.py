"""``python -m vrmpy_tune.toolchain.packets``: sequential assembly in, packets out.

A process of its own, so that several kernels are scheduled at once and each keeps to its limits.
It exits with :data:`~vrmpy_tune.toolchain.packets.UNKNOWN_ASSEMBLY` for what it does not
understand.
"""

from __future__ import annotations

import sys

from vrmpy_tune.toolchain.packets import UNKNOWN_ASSEMBLY
from vrmpy_tune.toolchain.packets.function import UnknownAssemblyError
from vrmpy_tune.toolchain.packets.repack import repack


def main() -> int:
    """Read assembly from standard input and write it scheduled to standard output."""
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    try:
        scheduled = repack(text)
    except UnknownAssemblyError as error:
        print(f"The packet scheduler does not understand {error}.", file=sys.stderr)
        return UNKNOWN_ASSEMBLY
    sys.stdout.buffer.write(scheduled.encode("utf-8", "surrogateescape"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
