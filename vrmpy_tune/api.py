"""The Python API: what the command line does, for programs."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from vrmpy_tune.errors import NoValidCandidateError, UsageError
from vrmpy_tune.measurement import DEFAULT_METRIC, METRICS
from vrmpy_tune.model.opening import is_model
from vrmpy_tune.target import HexagonTarget, parse_target
from vrmpy_tune.workload import Workload, parse_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vrmpy_tune.compiler import CompileReport
    from vrmpy_tune.model.compiled import CompiledModel
    from vrmpy_tune.records.database_view import AppliedReport
    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.tune.run import TuneResult

Records = str | Path


def tune(
    workload: Workload | str,
    *,
    target: HexagonTarget | str = "hexagon-v68",
    device: str = "qemu",
    metric: str = DEFAULT_METRIC,
    trials: int | None = None,
    time_s: float | None = None,
    effort: str = "normal",
    seed: int = 0,
    records: str | None = None,
    transfer: bool = True,
    shipped: bool = True,
    early_stop: bool = True,
    events: Callable[[Event], None] = lambda _: None,
) -> TuneResult:
    """Tune one workload; see :func:`vrmpy_tune.tune.run.tune` for the parameters and errors.

    Examples
    --------
    >>> import vrmpy_tune as vt
    >>> dense = vt.Dense(m=128, n=768, k=768, lhs="u8", rhs="u8")
    >>> result = vt.tune(dense, trials=128, records="sqlite:///tuning.db")  # doctest: +SKIP
    """
    from vrmpy_tune.tune.run import tune as run

    results = run(
        [_workload(workload)],
        target=_target(target),
        device=device,
        metric=metric,
        trials=trials,
        time_s=time_s,
        effort=effort,
        seed=seed,
        records=records,
        transfer=transfer,
        shipped=shipped,
        early_stop=early_stop,
        events=events,
    )
    if not results:
        raise NoValidCandidateError(
            f"Tuning {workload} was interrupted before a candidate was verified. "
            "The same call again resumes."
        )
    return results[0]


@overload
def compile(
    workloads: Workload | str | Sequence[Workload | str],
    *,
    output: Path | str,
    target: HexagonTarget | str = ...,
    records: Records | Sequence[Records] | None = ...,
    shipped: bool = ...,
    **options: Any,
) -> CompileReport: ...


@overload
def compile(
    workloads: Path | str,
    *,
    output: Path | str | None = ...,
    target: HexagonTarget | str = ...,
    records: Records | Sequence[Records] | None = ...,
    shipped: bool = ...,
    **options: Any,
) -> CompiledModel: ...


def compile(
    workloads: Workload | str | Path | Sequence[Workload | str],
    *,
    output: Path | str | None = None,
    target: HexagonTarget | str = "hexagon-v68",
    records: Records | Sequence[Records] | None = None,
    shipped: bool = True,
    **options: Any,
) -> CompileReport | CompiledModel:
    """Compile workloads, or a model, with the records that apply.

    Parameters
    ----------
    workloads:
        One or several workloads, or their texts; or the path of a quantized ``.onnx`` or
        ``.tflite`` file.
    output:
        The artifact directory.  A model needs none: it is then kept as long as the returned object.
    target:
        A target or its name.
    records:
        Stores to look in, in order; by default the user's own, if there is one.
    shipped:
        Whether to look in the records that ship, too, after the others.
    options:
        ``metric``, ``device``, ``strict``, ``exact`` of
        :func:`vrmpy_tune.model.compile.compile_network` or
        :func:`vrmpy_tune.compiler.compile_workloads`, which also list the errors; the latter has
        ``compare_untuned``, too.

    Returns
    -------
    compiled:
        A report of the workloads, or the model, ready to run.

    Examples
    --------
    >>> import vrmpy_tune as vt
    >>> net = vt.compile("model.onnx", strict=True)  # doctest: +SKIP
    >>> logits = net.run(device="qemu", image=pixels)  # doctest: +SKIP
    """
    hexagon, where = _target(target), _stores(records, shipped)
    if isinstance(workloads, Path) or (isinstance(workloads, str) and is_model(workloads)):
        from vrmpy_tune.model.compiled import compile_model

        return compile_model(
            Path(workloads),
            output=None if output is None else Path(output),
            target=hexagon,
            records=where,
            **options,
        )
    if output is None:
        raise UsageError("Name the artifact directory of the kernels: output=...")
    from vrmpy_tune.compiler import compile_workloads

    chosen = [workloads] if isinstance(workloads, (Workload, str)) else list(workloads)
    return compile_workloads(
        [_workload(workload) for workload in chosen],
        target=hexagon,
        records=where,
        output=Path(output),
        **options,
    )


@contextmanager
def applied(
    records: Records | Sequence[Records] | None = None,
    *,
    target: HexagonTarget | str = "hexagon-v68",
    shipped: bool = True,
    metrics: Sequence[str] = METRICS,
    exact: bool = False,
) -> Iterator[AppliedReport]:
    """Make records the current MetaSchedule database, for any TVM user.

    Inside the context ``relax.transform.MetaScheduleApplyDatabase()`` replaces each function that
    computes a workload with records (the programs of :mod:`search_spaces`, on packed or plain
    weights) by its tuned form.  Which record applies is decided as in every compilation
    (:mod:`vrmpy_tune.records.resolver`), among those of the very form of the program.

    Parameters
    ----------
    records, target, shipped:
        As for :func:`compile`.
    metrics:
        Metrics to accept, in order of preference.
    exact:
        Accept no record of another toolchain, nor of another variant.

    Yields
    ------
    report:
        What was asked, applied and missed, and why.

    Raises
    ------
    StoreError
        If a store cannot be opened.
    """
    from vrmpy_tune.records.database_view import AppliedReport, DatabaseView
    from vrmpy_tune.records.location import open_stores
    from vrmpy_tune.toolchain.versions import require_toolchain

    require_toolchain()
    hexagon = _target(target)
    report = AppliedReport()
    with open_stores(_stores(records, shipped)) as reader:
        view = DatabaseView(reader, hexagon, metrics, report, exact=exact)
        with hexagon.tvm_target(), view:
            yield report


def _workload(value: Workload | str) -> Workload:
    return parse_workload(value) if isinstance(value, str) else value


def _target(value: HexagonTarget | str) -> HexagonTarget:
    return parse_target(value) if isinstance(value, str) else value


def _stores(value: Records | Sequence[Records] | None, shipped: bool) -> list[str]:
    from vrmpy_tune.records.shipped import sources

    given = [value] if isinstance(value, (str, Path)) else value
    return sources(given, shipped=shipped)
