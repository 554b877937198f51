"""Assembly text as packets, for facts about what issues together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PACKET: Final = re.compile(r"\{(?P<body>[^{}]*)\}(?P<suffix>[^\n]*)")
_COMMENT: Final = re.compile(r"//.*")


@dataclass(frozen=True)
class Packet:
    """Instructions that issue together.

    Attributes
    ----------
    instructions:
        One text each.
    ends_loop:
        Whether the packet ends the body of an innermost hardware loop.
    """

    instructions: tuple[str, ...]
    ends_loop: bool

    def count(self, pattern: str) -> int:
        """Return how many of the instructions contain ``pattern``."""
        return sum(bool(re.search(pattern, one)) for one in self.instructions)


def packets(assembly: str) -> list[Packet]:
    """Return the packets of assembly text in order."""
    found = []
    for match in _PACKET.finditer(_COMMENT.sub("", assembly)):
        lines = (line.strip() for line in match["body"].splitlines())
        found.append(Packet(tuple(line for line in lines if line), ":endloop0" in match["suffix"]))
    return found


def hardware_loops(assembly: str) -> list[list[Packet]]:
    """Return the body of each innermost hardware loop: from its label to its last packet."""
    bodies = []
    for block in re.split(r"^\.L\S+:", _COMMENT.sub("", assembly), flags=re.MULTILINE)[1:]:
        body = packets(block)
        for index, packet in enumerate(body):
            if packet.ends_loop:
                bodies.append(body[: index + 1])
                break
    return bodies
