"""Draw the scene from above, north up, and write what the browser shows meanwhile (sfm.cloud).

cameras.png shows the cameras over the sparse points, overlap.png how many photos see each part of the ground.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from contract.files import write_json
from sfm.cloud import LOST, cloud_json, write_thumbnails
from sfm.georegister import Georegistration
from sfm.overlap import VIEW_PERCENTILES, OverlapMap, overlap_map

Vector = NDArray[np.float64]

MARGIN = 0.08
BACKGROUND, INK, FRAME = "#10141a", "#c8d0da", "#3a424d"
CAMERA = "#ffb02e"
# none, one, two, three, four, five to eight, nine and more photos: from unusable red to safe green
OVERLAP_STEPS = (0, 1, 2, 3, 4, 5, 9, 10_000)
OVERLAP_COLORS = ("#10141a", "#b3262b", "#e06a2c", "#e8c33a", "#a9cf54", "#57b35b", "#2b8a63")
OVERLAP_LABELS = ("none", "1", "2", "3", "4", "5–8", "9 and more")


def plot_scene(scene: Path, georegistration: Georegistration, lost: Vector) -> OverlapMap:
    """Draw the delivered scene in folder `scene`, with the GPS positions `lost` (N, 2) of unregistered photos; returns
    the overlap.
    """
    model = pycolmap.Reconstruction(scene / "sparse" / "0")
    names = sorted(image.name for image in model.images.values())
    write_thumbnails(scene / "thumbnails.jpg", [scene / "images" / name for name in names])
    return draw_scene(scene, model, georegistration, lost)


def draw_scene(
    folder: Path, model: pycolmap.Reconstruction, georegistration: Georegistration, lost: Vector
) -> OverlapMap:
    """Write cameras.png, cloud.json and overlap.png of a placed model into `folder`; returns the overlap."""
    images = sorted(model.images.values(), key=lambda image: image.name)
    names = [image.name for image in images]
    centres = np.array([image.projection_center() for image in images])
    forward = np.array([image.viewing_direction() for image in images])
    points = np.array([point.xyz for point in model.points3D.values()], dtype=np.float64).reshape(-1, 3)
    colors = np.array([point.color for point in model.points3D.values()], dtype=np.float64).reshape(-1, 3)
    metric = georegistration.origin is not None
    plot_cameras(folder / "cameras.png", centres, forward, points, colors, metric, lost)
    write_json(folder / "cloud.json", cloud_json(names, centres, forward, points, colors, metric))
    overlap = overlap_map(model)
    plot_overlap(folder / "overlap.png", overlap, centres, metric, lost)
    return overlap


def plot_cameras(
    path: Path, centres: Vector, forward: Vector, points: Vector, colors: Vector, metric: bool, lost: Vector
) -> None:
    """Draw `centres` (N, 3) with their viewing directions (N, 3) over `points` (M, 3), `colors` (M, 3) 0..255."""
    low, high = _extent(centres, points)
    figure, axes = _canvas(low, high, metric)
    order = np.argsort(points[:, 2])
    size = float(np.clip(30_000 / max(len(points), 1), 1.0, 8.0))
    axes.scatter(points[order, 0], points[order, 1], s=size, c=colors[order] / 255, linewidths=0)
    scale = 1 / (0.05 * float((high - low).max()))
    axes.quiver(
        centres[:, 0], centres[:, 1], forward[:, 0], forward[:, 1], color=CAMERA, angles="xy", scale_units="xy",
        scale=scale, width=0.003,
    )  # fmt: skip
    _mark(axes, centres, lost)
    axes.set_title(f"{len(centres)} cameras, {len(points):,} points, from above{_lost_words(lost)}", color=INK, size=11)
    _save(figure, path)


def plot_overlap(path: Path, overlap: OverlapMap, centres: Vector, metric: bool, lost: Vector) -> None:
    """Draw the number of photos that see each part of the ground, and where they were taken."""
    rows, columns = overlap.counts.shape
    west, north = overlap.west, overlap.north
    east, south = west + columns * overlap.cell, north - rows * overlap.cell
    low = np.minimum([west, south], centres[:, :2].min(axis=0))
    high = np.maximum([east, north], centres[:, :2].max(axis=0))
    margin = 0.02 * float((high - low).max())
    figure, axes = _canvas(low - margin, high + margin, metric)
    shown = axes.imshow(
        overlap.counts, extent=(west, east, south, north), interpolation="nearest", cmap=ListedColormap(OVERLAP_COLORS),
        norm=BoundaryNorm(OVERLAP_STEPS, len(OVERLAP_COLORS)),
    )  # fmt: skip
    ticks = [(a + b) / 2 for a, b in pairwise(OVERLAP_STEPS)]
    bar = figure.colorbar(shown, ax=axes, ticks=ticks, shrink=0.7, spacing="uniform")
    bar.ax.set_yticklabels(OVERLAP_LABELS, color=INK)
    bar.set_label("photos that see the ground", color=INK)
    _mark(axes, centres, lost)
    words = f"{overlap.enough_share:.0%} of the ground is in 3 photos or more, {overlap.mean:.1f} on average"
    axes.set_title(words + _lost_words(lost), color=INK, size=11)
    _save(figure, path)


def _canvas(low: Vector, high: Vector, metric: bool) -> tuple[Figure, Axes]:
    aspect = (high[1] - low[1]) / (high[0] - low[0])
    figure = Figure(figsize=(9, float(np.clip(9 * aspect, 4, 14)) + 0.6), dpi=110, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=BACKGROUND)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_xlabel("east (m)" if metric else "x (model units)", color=INK)
    axes.set_ylabel("north (m)" if metric else "y (model units)", color=INK)
    axes.tick_params(colors=INK)
    if metric:
        axes.annotate(
            "N", xy=(0.97, 0.97), xytext=(0.97, 0.89), xycoords="axes fraction", color=INK, ha="center", va="top",
            fontsize=12, fontweight="bold", arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.5},
        )  # fmt: skip
    for spine in axes.spines.values():
        spine.set_color(FRAME)
    return figure, axes


def _mark(axes: Axes, centres: Vector, lost: Vector) -> None:
    """Draw cameras as dots, and unregistered photos as crosses at their GPS position (those within the image)."""
    limits: tuple[Any, Any] = axes.get_xlim(), axes.get_ylim()
    axes.scatter(centres[:, 0], centres[:, 1], s=26, c=CAMERA, edgecolors=BACKGROUND, linewidths=0.8, zorder=3)
    axes.scatter(lost[:, 0], lost[:, 1], s=40, c=LOST, marker="x", linewidths=1.6, zorder=4)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])


def _lost_words(lost: Vector) -> str:
    return f"; × {len(lost)} photos not placed" if len(lost) else ""


def _save(figure: Figure, path: Path) -> None:
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
