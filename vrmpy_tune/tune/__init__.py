"""The tuning run: search, build, run, verify, remember.

``vrmpy_tune.tune`` is also the function of the public API, :func:`vrmpy_tune.api.tune`.  A package
that can be called is both at once, whichever of the two is imported first.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from vrmpy_tune.api import tune

        return tune(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
