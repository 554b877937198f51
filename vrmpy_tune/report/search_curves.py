"""The plot of a study: how fast each way to search gets how far."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vrmpy_tune.tune.study import Curve

COLORS: Final = {"evolutionary": "tab:blue", "random": "tab:orange"}
_COLUMNS: Final = 2
_PANEL_INCHES: Final = (5.6, 3.6)


def plot_curves(curves: Sequence[Curve], path: Path) -> None:
    """Draw one panel for each workload, a thin line for each run and a thick one for their median.

    The vertical axis is the packet bound over the best packets so far: 1 is the ceiling.

    Parameters
    ----------
    path:
        The file, for example ``curves.png``; its suffix decides on the format.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    workloads = list(dict.fromkeys(curve.workload for curve in curves))
    columns = min(_COLUMNS, len(workloads))
    rows = -(-len(workloads) // columns)
    size = (_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows)
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for panel, workload in zip(panels.flat, workloads, strict=False):
        _draw(panel, [curve for curve in curves if curve.workload == workload])
        panel.set_title(workload, fontsize=7)
    for panel in panels.flat[len(workloads) :]:
        panel.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _draw(panel: Any, curves: Sequence[Curve]) -> None:
    for search in dict.fromkeys(curve.search for curve in curves):
        lines = [fractions(curve) for curve in curves if curve.search == search]
        color = COLORS.get(search)
        for line in lines:
            panel.step(range(1, len(line) + 1), line, where="post", color=color, lw=0.7, alpha=0.5)
        middle = [median(values) for values in zip(*lines, strict=False)]
        label = f"{search} ({len(lines)} seeds)"
        panel.step(range(1, len(middle) + 1), middle, where="post", color=color, lw=2, label=label)
    panel.set_xlabel("candidates")
    panel.set_ylabel("packet bound / best so far")
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right", fontsize=8)


def fractions(curve: Curve) -> list[float]:
    """Return the share of the ceiling reached after each candidate, 0 before the first result."""
    return [0.0 if best is None else curve.packet_bound / best for best in curve.best_so_far]
