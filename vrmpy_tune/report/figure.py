"""Figures that go to files: PNG or SVG, drawn without a display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMATS: Final = (".png", ".svg")
"""Suffixes of files that figures are written to."""

LABELS: Final = 1.02
RIGHT: Final = 1.2
"""Where numbers stand right of the ceiling, 1.0, and where an axis of shares of it ends."""

DOTS_PER_INCH: Final = 150


def check_figure_file(path: Path) -> None:
    """Check, before hours of measuring, that a figure can be written.

    Raises
    ------
    UsageError
        If the suffix is not of :data:`FORMATS`, or there is no such directory.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path} is no figure; name a file that ends in {' or '.join(FORMATS)}.")
    check_directory(path)


def check_directory(path: Path) -> None:
    """Check that the directory of a file exists; raises :class:`UsageError`."""
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no directory {path.parent}.")


def panels(
    number: int, height: float | Sequence[float], *, columns: int = 1, width: float = 8.0
) -> tuple[Any, Any]:
    """Return a figure and its ``number`` panels.

    Parameters
    ----------
    width, height:
        Of one panel, in inches; heights of several are those of the rows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, number)
    rows = -(-number // columns)
    heights = [height] * rows if isinstance(height, (int, float)) else list(height)
    figure = Figure(figsize=(width * columns, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = {"height_ratios": heights}
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid).flat
    for unused in axes[number:]:
        unused.set_axis_off()
    return figure, axes[:number]


def save(figure: Any, path: Path) -> None:
    """Write a figure; the suffix decides on the format.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    try:
        figure.savefig(path, dpi=DOTS_PER_INCH)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error}).") from error
