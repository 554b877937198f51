"""The records that ship with the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGE: Final = "vrmpy_tune_records"
"""Name under which ``records/`` is installed as data."""


def shipped_records() -> Path | None:
    """Return the directory of the shipped records: of the checkout, or as installed.

    ``None`` if there is neither.
    """
    checkout = Path(__file__).resolve().parents[2] / "records"
    if any(checkout.glob("*/*.jsonl")):
        return checkout
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if any(Path(location).glob("*/*.jsonl")):
            return Path(location)
    return None


def sources(given: Sequence[str | Path] | None = None, *, shipped: bool = True) -> list[str]:
    """Return the stores to read from.

    Parameters
    ----------
    given:
        Stores; by default the user's own, if there is one.  It may be empty.
    shipped:
        Whether to look in the records that ship, too, after the others.
    """
    from vrmpy_tune.records.location import default_url

    directory = shipped_records() if shipped else None
    if given is not None:
        own = [str(one) for one in given]
    else:
        url = default_url()
        exists = Path(url.removeprefix("sqlite:///")).exists()
        own = [url] if exists or directory is None else []
    if directory is None or any(Path(one).resolve() == directory for one in own):
        return own
    return [*own, str(directory)]
