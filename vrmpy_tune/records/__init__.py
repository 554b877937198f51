"""Tuned records: what was measured, where it is kept, and how it is found again.

Importing this package imports neither TVM nor SQLAlchemy: names are resolved on first use.
The function ``explain`` bears the name of its module, and so is imported from there:
``from vrmpy_tune.records.explain import explain``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vrmpy_tune.records.explain import Explanation
    from vrmpy_tune.records.imported import ImportedTrace
    from vrmpy_tune.records.jsonlines import ImportReport, export_json_lines, import_json_lines
    from vrmpy_tune.records.jsonlines_store import JsonLinesStore
    from vrmpy_tune.records.location import default_url, open_store, open_stores
    from vrmpy_tune.records.outcomes import Failure, FinishedRun
    from vrmpy_tune.records.record import Identity, Record, canonical_trace
    from vrmpy_tune.records.resolution import Resolution, Status
    from vrmpy_tune.records.resolver import Resolver
    from vrmpy_tune.records.sql_store import SqlStore
    from vrmpy_tune.records.store import RecordReader, Store
    from vrmpy_tune.records.tvm_json import export_tvm_json, identify_among, import_tvm_json
    from vrmpy_tune.records.view import StoreView

_MODULE_OF: Final = {
    "Explanation": "explain",
    "Failure": "outcomes",
    "FinishedRun": "outcomes",
    "Identity": "record",
    "ImportReport": "jsonlines",
    "ImportedTrace": "imported",
    "JsonLinesStore": "jsonlines_store",
    "Record": "record",
    "RecordReader": "store",
    "Resolution": "resolution",
    "Resolver": "resolver",
    "SqlStore": "sql_store",
    "Status": "resolution",
    "Store": "store",
    "StoreView": "view",
    "canonical_trace": "record",
    "default_url": "location",
    "export_json_lines": "jsonlines",
    "export_tvm_json": "tvm_json",
    "identify_among": "tvm_json",
    "import_json_lines": "jsonlines",
    "import_tvm_json": "tvm_json",
    "open_store": "location",
    "open_stores": "location",
}

__all__ = [
    "Explanation",
    "Failure",
    "FinishedRun",
    "Identity",
    "ImportReport",
    "ImportedTrace",
    "JsonLinesStore",
    "Record",
    "RecordReader",
    "Resolution",
    "Resolver",
    "SqlStore",
    "Status",
    "Store",
    "StoreView",
    "canonical_trace",
    "default_url",
    "export_json_lines",
    "export_tvm_json",
    "identify_among",
    "import_json_lines",
    "import_tvm_json",
    "open_store",
    "open_stores",
]


def __getattr__(name: str) -> Any:
    try:
        module = _MODULE_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
