"""What fits into one packet: four words, four slots, four vector pipes, one vector load and store.

Slots and pipes are those of *Hexagon V66 HVX Programmer's Reference Manual*, "Instruction packets",
and of *Hexagon V66 Programmer's Reference Manual*, "Packet constraints"; the table was checked with
LLVM's assembler (``tests/toolchain/test_packet_resources.py``).  What it does not know goes alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

MAX_WORDS: Final = 4
"""Words of code in a packet."""

_X, _S, _M0, _M1, _LOAD, _STORE = 1, 2, 4, 8, 16, 32
_ANY_PIPE: Final = (_M1, _M0, _S, _X)
_ANY_SLOT: Final = (1, 2, 4, 8)


@dataclass(frozen=True)
class Unit:
    """What one instruction takes.

    Attributes
    ----------
    slots:
        Alternative sets of slots, as bit masks: an unaligned vector access takes two.
    pipes:
        Alternative sets of vector pipes and memory ports, as bit masks.
    words:
        Words of code.
    alone:
        Whether nothing else may be in its packet.
    multiplies:
        Multiply pipes that it takes if it multiplies, else 0.
    """

    slots: tuple[int, ...]
    pipes: tuple[int, ...] = (0,)
    words: int = 1
    alone: bool = False
    multiplies: int = 0

    @property
    def multiply_pipes(self) -> int:
        """Multiply pipes that it takes wherever it goes."""
        return min((pipes & (_M0 | _M1)).bit_count() for pipes in self.pipes)


_XTYPE: Final = (4, 8)
_MEMORY: Final = (1, 2)
_NO_PIPE: Final = (0,)


@dataclass(frozen=True)
class _Form:
    """Instructions that take the same of a packet, by a pattern that their whole text matches."""

    pattern: str
    slots: tuple[int, ...]
    pipes: tuple[int, ...] = _NO_PIPE
    multiplies: int = 0


_R: Final = r"r\d+"
_RR: Final = r"r\d+:\d+"
_V: Final = r"v\d+(?:\.\w+)?"
_VV: Final = r"v\d+:\d+(?:\.\w+)?"
_OF: Final = r"\([^()]*\)\S*"
"""Plain operands, and what modifies the operation."""

_FORMS: Final = (
    _Form(r"jump\b.*", _XTYPE),
    _Form(r"loop[01]\(.*", (8,)),
    # Memory.  Two scalar stores would be allowed, in an order that their slots decide.
    _Form(rf"{_V} = vmem\(.*\)", _MEMORY, tuple(_LOAD | pipe for pipe in _ANY_PIPE)),
    _Form(rf"{_V} = vmemu\(.*\)", (1 | 2,), (_LOAD | _X,)),
    _Form(rf"vmem\(.*\) = {_V}", (1,), tuple(_STORE | pipe for pipe in _ANY_PIPE)),
    _Form(rf"vmemu\(.*\) = {_V}", (1 | 2,), (_STORE | _X,)),
    _Form(rf"(?:{_R}|{_RR}) = mem\w+\(.*\)", _MEMORY),
    _Form(r"mem\w+\(.*\) = .*", (1,)),
    # Scalars.  A sum of three, and all that works on pairs, takes an XTYPE slot.
    _Form(rf"{_R} = (?:{_R}|#+-?\w+)", _ANY_SLOT),
    _Form(rf"{_R} = (?:add|sub|and|or|xor)\([^(),]*,[^(),]*\)", _ANY_SLOT),
    _Form(rf"{_R} = (?:not|neg|mux|aslh|asrh|sxtb|sxth|zxtb|zxth)\([^()]*\)", _ANY_SLOT),
    _Form(rf"{_RR} = combine\([^()]*\)", _ANY_SLOT),
    _Form(rf"p\d = !?cmp\.(?:eq|gt|gtu)\({_R},[^(),:]*\)", _ANY_SLOT),
    _Form(
        rf"(?:{_R}|{_RR}) [+\-&|^]?= [!+]?(?:add|sub|and|or|xor|neg|abs|addasl|mpy|mpyi|mpyu|asl"
        rf"|asr|lsr|lsl|extract|extractu|insert|max|min|maxu|minu|bitsplit|vrmpybu|vrmpybsu|vraddub"
        rf"|vaddub|vsplatb|vsplath|setbit|clrbit|togglebit|ct0|ct1|cl0|cl1|clb|sxtw){_OF}",
        _XTYPE,
    ),
    _Form(rf"{_R} = (?:add|sub|or|and)\([^()]*\w+\([^()]*\)\)", _XTYPE),
    _Form(rf"p\d = !?(?:tstbit|bitsset|bitsclr|cmp\.\w+|cmpb\.\w+|cmph\.\w+){_OF}", _XTYPE),
    # Multiplications: by a scalar, two a packet; else one.
    _Form(rf"{_V} \+?= v(?:rmpy|dmpy)\({_V},{_R}\.\w+\)\S*", _XTYPE, (_M0, _M1), 1),
    _Form(rf"(?:{_V}|{_VV}) [+\-]?= v(?:rmpy|dmpy|tmpy|mpa|mpy\w*){_OF}", _XTYPE, (_M0 | _M1,), 2),
    # A sum that is wider than what it adds up goes through the multipliers.
    _Form(rf"{_VV} = (?:vadd|vsub)\({_V},{_V}\)\S*", _XTYPE, (_M0 | _M1,)),
    # A predicate is spread over bytes by a multiplication with the scalar.
    _Form(rf"{_V} \|?= vand\(!?q\d,{_R}\)", _XTYPE, (_M0, _M1), 1),
    # Vectors on any pipe, and pairs on either two.
    _Form(rf"{_V} = {_V}", _ANY_SLOT, _ANY_PIPE),
    _Form(
        rf"{_V} = (?:vadd|vsub|vand|vor|vxor|vnot|vmax|vmin|vmux|vavg|vnavg|vsat){_OF}",
        _ANY_SLOT,
        _ANY_PIPE,
    ),
    _Form(rf"q\d = vcmp\.\w+{_OF}", _ANY_SLOT, _ANY_PIPE),
    _Form(rf"{_VV} = (?:vcombine|vadd|vsub|vzxt|vsxt){_OF}", _ANY_SLOT, (_M0 | _M1, _X | _S)),
    # Permutations and shifts.
    _Form(
        rf"{_V} = (?:vpack\w?|valign|vlalign|vror|vshuff\w?|vdeal\w?|vdelta|vrdelta){_OF}",
        _ANY_SLOT,
        (_X,),
    ),
    _Form(rf"{_VV} = (?:vshuff|vdeal){_OF}", _ANY_SLOT, (_X | _S,)),
    _Form(rf"{_V} = (?:vasr|vasl|vlsr){_OF}", _ANY_SLOT, (_S,)),
    _Form(rf"{_V} = vsplat\({_R}\)", _XTYPE, (_M0, _M1)),
)
_COMPILED: Final = tuple((re.compile(form.pattern), form) for form in _FORMS)
_CONDITION: Final = re.compile(r"if\s*\([^)]*\)\s*")


@cache
def unit_of(text: str) -> Unit:
    """Return what an instruction takes of a packet, from its text."""
    words = 1 + ("##" in text)
    body = _CONDITION.sub("", text, count=1) if text.startswith("if") else text
    for pattern, form in _COMPILED:
        if "pc" not in body and pattern.fullmatch(body):
            return _interned(Unit(form.slots, form.pipes, words, multiplies=form.multiplies))
    return _interned(Unit(_ANY_SLOT, words=words, alone=True))


@cache
def _interned(unit: Unit) -> Unit:
    """Return the one unit that is equal: packets are compared very often."""
    return unit


def least_packets(units: list[Unit]) -> int:
    """Return the packets that instructions fill at least."""
    needs = (
        (sum(unit.words for unit in units), MAX_WORDS),
        (sum(unit.multiply_pipes for unit in units), 2),
        (sum(set(unit.slots) <= {4, 8} for unit in units), 2),
        (sum(set(unit.slots) <= {1, 2, 3} for unit in units), 2),
        (sum(unit.slots in {(1,), (3,)} for unit in units), 1),
        (sum(bool(unit.pipes[0] & _LOAD) for unit in units), 1),
    )
    return max(-(-need // each) for need, each in needs)


def joins(packet: tuple[Unit, ...], unit: Unit) -> tuple[Unit, ...] | None:
    """Return the packet with one instruction more, in canonical order, or ``None``."""
    joined = tuple(sorted((*packet, unit), key=id))
    return joined if _fits(joined) else None


@cache
def _fits(units: tuple[Unit, ...]) -> bool:
    """Whether these can share a packet."""
    if len(units) == 1:
        return True
    if sum(unit.words for unit in units) > MAX_WORDS or any(unit.alone for unit in units):
        return False
    return _place(sorted(units, key=lambda unit: (len(unit.slots), len(unit.pipes))), 0, 0)


def _place(units: list[Unit], slots: int, pipes: int) -> bool:
    if not units:
        return True
    unit, *rest = units
    return any(
        _place(rest, slots | slot, pipes | pipe)
        for slot in unit.slots
        if not slots & slot
        for pipe in unit.pipes
        if not pipes & pipe
    )
