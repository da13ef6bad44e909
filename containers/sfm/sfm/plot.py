"""cameras.png: the registered cameras and the sparse points from above, north up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Vector = NDArray[np.float64]

VIEW_PERCENTILES = (1, 99)  # of the points; stray points would shrink the scene to a dot
MARGIN = 0.08
BACKGROUND, INK, CAMERA = "#10141a", "#c8d0da", "#ffb02e"


def plot_cameras(path: Path, centres: Vector, forward: Vector, points: Vector, colors: Vector, metric: bool) -> None:
    """Draw `centres` (N, 3) with their viewing directions (N, 3) over `points` (M, 3), `colors` (M, 3) 0..255."""
    low, high = _extent(centres, points)
    span = float((high - low).max())
    aspect = (high[1] - low[1]) / (high[0] - low[0])
    figure = Figure(figsize=(9, float(np.clip(9 * aspect, 4, 14)) + 0.6), dpi=110, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=BACKGROUND)
    order = np.argsort(points[:, 2])
    size = float(np.clip(30_000 / max(len(points), 1), 1.0, 8.0))
    axes.scatter(points[order, 0], points[order, 1], s=size, c=colors[order] / 255, linewidths=0)
    axes.quiver(
        centres[:, 0], centres[:, 1], forward[:, 0], forward[:, 1], color=CAMERA, angles="xy", scale_units="xy",
        scale=1 / (0.05 * span), width=0.003,
    )  # fmt: skip
    axes.scatter(centres[:, 0], centres[:, 1], s=26, c=CAMERA, edgecolors=BACKGROUND, linewidths=0.8, zorder=3)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    unit = "m" if metric else "model units"
    axes.set_xlabel(f"east ({unit})" if metric else f"x ({unit})", color=INK)
    axes.set_ylabel(f"north ({unit})" if metric else f"y ({unit})", color=INK)
    axes.set_title(f"{len(centres)} cameras, {len(points):,} points, from above", color=INK, fontsize=11)
    axes.tick_params(colors=INK)
    if metric:
        axes.annotate(
            "N", xy=(0.97, 0.97), xytext=(0.97, 0.89), xycoords="axes fraction", color=INK, ha="center", va="top",
            fontsize=12, fontweight="bold", arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.5},
        )  # fmt: skip
    for spine in axes.spines.values():
        spine.set_color("#3a424d")
    figure.tight_layout()
    figure.savefig(path, format="png")


def _extent(centres: Vector, points: Vector) -> tuple[Vector, Vector]:
    """Corners (2,) of the part to show: all cameras and nearly all points, with a margin."""
    low, high = centres[:, :2].min(axis=0), centres[:, :2].max(axis=0)
    if len(points):
        low = np.minimum(low, np.percentile(points[:, :2], VIEW_PERCENTILES[0], axis=0))
        high = np.maximum(high, np.percentile(points[:, :2], VIEW_PERCENTILES[1], axis=0))
    margin = MARGIN * max(float((high - low).max()), 1e-6)
    return low - margin, high + margin
