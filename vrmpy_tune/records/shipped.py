"""The records that ship with the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

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


def default_sources() -> list[str]:
    """Return the stores to read from by default: the user's own, if any, then the shipped ones."""
    from vrmpy_tune.records.location import default_url

    url = default_url()
    shipped = shipped_records()
    own = Path(url.removeprefix("sqlite:///"))
    sources = [url] if own.exists() or shipped is None else []
    return [*sources, str(shipped)] if shipped else sources
