"""Telling LLVM which loops its software pipeliner need not look at.

LLVM's window scheduler, which is part of the pipeliner's pass, tries every innermost loop.  On the
reduction of a large register tile it takes half of the whole compilation and finds nothing.
"""

from __future__ import annotations

import re
from typing import Final

FUTILE: Final = 320
"""Multiplies of the vrmpy family in a loop from which on it is not tried.  Of 150 kernels drawn for
10 workloads (v68), the window scheduler changed loops of up to 256 multiplies, by up to 14% of the
packets, and none of the 40 with 288 to 512."""

_MULTIPLY: Final = re.compile(r" call <\d+ x i32> @llvm\.hexagon\.V6\.vrmpy")
_LABEL: Final = re.compile(r"([\w.$-]+):")
_BRANCH: Final = re.compile(r"  br label %for_(next|begin)([\w.$-]*)")
_METADATA: Final = re.compile(r"^!(\d+) = ", re.MULTILINE)


def without_futile_pipelining(source: str) -> str:
    """Mark the loops of TVM's LLVM IR that are too large to gain from pipelining.

    Parameters
    ----------
    source:
        LLVM IR as TVM prints it: the body of a loop ``x`` is the block ``for_body<x>``, which
        leads to ``for_next<x>`` and from there back to ``for_begin<x>``.
    """
    number = 1 + max((int(found) for found in _METADATA.findall(source)), default=-1)
    lines = source.split("\n")
    block, multiplies, marked = "", 0, False
    large: set[str] = set()
    for index, line in enumerate(lines):
        if label := _LABEL.match(line):
            block, multiplies = label[1], 0
        elif _MULTIPLY.search(line):
            multiplies += 1
        elif branch := _BRANCH.match(line):
            to, name = branch.groups()
            if to == "next" and block == f"for_body{name}":
                if multiplies >= FUTILE:
                    large.add(name)
            elif to == "begin" and block == f"for_next{name}" and name in large:
                lines[index] += f", !llvm.loop !{number}"
                marked = True
        elif line.startswith("define "):
            large.clear()
    if marked:
        lines += [
            f"!{number} = distinct !{{!{number}, !{number + 1}}}",
            f'!{number + 1} = !{{!"llvm.loop.pipeline.disable", i1 true}}',
            "",
        ]
    return "\n".join(lines)
