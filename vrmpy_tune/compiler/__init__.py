"""From workloads and stored records to verified kernels in an artifact directory."""

from __future__ import annotations

from vrmpy_tune.compiler.compile import CompileReport, compile_workloads
from vrmpy_tune.compiler.run import RunReport, run_artifact

__all__ = ["CompileReport", "RunReport", "compile_workloads", "run_artifact"]
