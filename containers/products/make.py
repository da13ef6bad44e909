"""Make the survey products of a scene, each separately, so that one that fails does not affect the others."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contract.branding import LOGO_UNUSED
from contract.files import write_json
from contract.options import Quality
from geo.projected import Projected, UnusableSystemError
from products.cloud import Cloud, write_copc, write_laz
from products.cog import Georeference, TooLargeError, write_heights, write_picture
from products.grid import Grid, Placed
from products.letterhead import Letterhead, UnusableLogoError, read_logo
from products.quality import read_evidence, report
from products.quality_files import write_html, write_pdf
from products.rasters import MAX_CELLS, NothingSeenError, Rasters, default_cell, draw, extent, layer
from products.relief import coarsened, contours, hillshade
from products.scene import Bytes, NoPlaceError, Scene
from splat.gaussians import Float32

FIGURES = "products.json"
HEIGHT_STEP, SIGMA_STEP = 0.005, 0.01  # metres to which heights and their σ are rounded
_OVERVIEW = 1600  # pixels of the longer side of the small orthophoto
_CONTOUR_LINES = 25  # about this many levels, at a round interval
_CONTOUR_CELLS = 400_000  # of the coarsened surface that contours are drawn on, so that they stay legible
_ROUND = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0)


@dataclass(frozen=True)
class Options:
    """The customer's options: `cell`, the cell size of the maps in metres, None for the photos' resolution; `epsg`, the
    code of the coordinate system, None for the scene's own; `letterhead` of the quality report.
    """

    name: str = "scene"
    quality: Quality = Quality.STANDARD
    cell: float | None = None
    epsg: int | None = None
    letterhead: Letterhead = field(default_factory=Letterhead)

    def in_words(self) -> dict[str, str]:
        """Names and values of the options, for the quality report."""
        return {
            "Quality": self.quality.value,
            "Cells of the maps": "the photos' own resolution" if self.cell is None else f"{self.cell:g} m",
            "Coordinate system": "the scene's own" if self.epsg is None else f"EPSG:{self.epsg}",
        }


@dataclass
class Made:
    """The names of the files made, the reasons for those missing, by name, and figures."""

    files: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The content of products.json (docs/contracts.md)."""
        return {"version": 1, "files": self.files, "missing": self.missing, **self.figures}


def make(scene: Scene, options: Options, output: Path, scratch: Path, progress: Callable[[float, str], None]) -> None:
    """Write the survey products, and products.json, which lists them.

    Parameters
    ----------
    scene: the splat, its cameras and dense points, in metres relative to the scene's origin.
    options: name and quality; `cell`, the cell size of the maps in metres, by default the photos' ground sampling
        distance; `epsg`, the coordinate system, by default that of the control points or the scene's UTM zone.
    output: folder that receives the files.
    scratch: folder for rasters that may exceed the memory.
    progress: receives the share done, 0..1, and a description; it may raise to stop.

    A product that cannot be made raises nothing: it is listed under `missing`, with the reason for the customer.
    """
    made = Made()
    try:
        projected = scene.projected(options.epsg)
    except (NoPlaceError, UnusableSystemError) as error:
        made.missing["maps and point cloud"] = str(error)
    else:
        gap = scene.grid_gap(projected)
        made.figures["system"] = {
            "epsg": projected.epsg,
            "name": projected.crs.name,
            "uncertain": str(gap) if gap else None,
        }
        progress(0.0, "writing the point cloud")
        _point_cloud(scene, projected, output, made)
        _maps(scene, projected, options, output, scratch, made, progress)
    write_json(output / FIGURES, made.as_json())


def _point_cloud(scene: Scene, projected: Projected, output: Path, made: Made) -> None:
    dense = scene.dense
    if not len(dense.points):
        made.missing["point cloud"] = "the photos agree on no surface"
        return
    photos = np.minimum(dense.agree.astype(np.int64) + 1, 255).astype(np.uint8)
    cloud = Cloud(projected.from_enu(dense.points), dense.rgb, photos, dense.sigma)
    write_laz(output / "points.laz", cloud, projected.crs)
    write_copc(output / "points.copc.laz", cloud, projected.crs)
    made.files += ["points.laz", "points.copc.laz"]
    made.figures["points"] = {
        "count": len(cloud),
        "photosMedian": float(np.median(photos)),
        "sigmaMedian": round(float(np.median(dense.sigma)), 4),
    }


def _maps(
    scene: Scene, projected: Projected, options: Options, output: Path, scratch: Path, made: Made,
    progress: Callable[[float, str], None],
) -> None:  # fmt: skip
    placed = Placed.of(projected)
    cell = options.cell or default_cell(_gsd(scene))
    try:
        grid = extent(_surface_of(scene), [view.camera for view in scene.views], placed, cell)
        if grid.cells > MAX_CELLS:
            facts = f"{grid.width} by {grid.height} cells of {cell} m are too many"
            raise TooLargeError(f"{facts}: choose a larger gsdMillimetres")
        rasters = draw(scene, placed, grid, scratch, lambda share: progress(0.1 + 0.7 * share, "drawing the maps"))
        place = georeference(projected, placed, grid, scene)
        progress(0.8, "writing the maps")
        write_picture(output / "orthophoto.tif", rasters.rgb, rasters.valid, place)
        _overview(rasters.rgb, rasters.valid, output / "orthophoto.jpg")
        made.files += ["orthophoto.tif", "orthophoto.jpg"]
        made.figures["map"] = {
            "cell": cell,
            "width": grid.width,
            "height": grid.height,
            "areaSquareMetres": round(float(rasters.valid.sum()) * cell * cell * placed.ground_share, 1),
        }
        if options.quality is Quality.PREVIEW:
            made.missing["surface model"] = "a preview is too coarse for heights"
        else:
            _surface(rasters, place, placed, output, scratch, made)
    except (NothingSeenError, TooLargeError) as error:
        made.missing["maps"] = str(error)


def _surface(
    rasters: Rasters, place: Georeference, placed: Placed, output: Path, scratch: Path, made: Made
) -> None:  # fmt: skip
    write_heights(output / "surface.tif", rasters.heights, place, HEIGHT_STEP)
    write_heights(output / "surface_sigma.tif", rasters.sigma, place, SIGMA_STEP)
    shape = rasters.heights.shape
    shade, lit = layer(scratch, "shade", np.uint8, *shape), layer(scratch, "lit", np.bool_, *shape)
    hillshade(rasters.heights, rasters.grid.cell * math.sqrt(placed.ground_share), shade)
    np.greater(shade, 0, out=lit)
    shaded = np.broadcast_to(shade[..., None], (*shape, 3))
    write_picture(output / "hillshade.tif", shaded, lit, place)
    _overview(shaded, lit, output / "hillshade.jpg")
    known = _known_sigma(rasters, scratch)
    interval = _write_contours(rasters, placed, output / "contours.geojson")
    made.files += ["surface.tif", "surface_sigma.tif", "hillshade.tif", "hillshade.jpg", "contours.geojson"]
    made.figures["surface"] = {
        "sigmaMedian": round(float(np.median(known, overwrite_input=True)), 4),
        "sigma90": round(float(np.percentile(known, 90, overwrite_input=True)), 4),
        "lowest": round(float(np.fmin.reduce(rasters.heights, axis=None)), 3),
        "highest": round(float(np.fmax.reduce(rasters.heights, axis=None)), 3),
        "contourInterval": interval,
    }


def _known_sigma(rasters: Rasters, scratch: Path) -> Float32:
    """σ of the valid cells in any order, in a file like the maps; the caller may reorder it in place."""
    known: Float32 = layer(scratch, "known", np.float32, int(np.count_nonzero(rasters.valid)))
    start = 0
    for valid, sigma in zip(rasters.valid, rasters.sigma, strict=True):  # row by row
        part = sigma[valid]
        known[start : start + len(part)] = part
        start += len(part)
    return known


def write_report(options: Options, model: Path, cameras: Path, output: Path) -> None:
    """Add the quality report to the products in `output`, if structure from motion left figures for one. A logo that
    cannot be used is left out, and products.json gives the reason."""
    evidence = read_evidence(options.name, options.in_words(), options.letterhead, model, cameras, output)
    if evidence is None:
        return
    logo, unused = None, {}
    if options.letterhead.logo is not None:
        try:
            logo = read_logo(options.letterhead.logo)
        except UnusableLogoError as reason:
            unused = {LOGO_UNUSED: str(reason)}
    document = report(evidence, datetime.now(UTC).date(), logo)
    write_html(output / "quality.html", document)
    write_pdf(output / "quality.pdf", document)
    figures = json.loads((output / FIGURES).read_text(encoding="utf-8"))
    figures["files"] += ["quality.html", "quality.pdf"]
    write_json(output / FIGURES, figures | unused)


def georeference(projected: Projected, placed: Placed, grid: Grid, scene: Scene) -> Georeference:
    """Where the grid lies, in the unit of the projection."""
    unit = projected.metres_per_unit
    heights = scene.georeference.get("heights") or {}
    return Georeference(
        west=float((placed.corner[0] + grid.west) / unit),
        north=float((placed.corner[1] + grid.north) / unit),
        cell=grid.cell / unit,
        epsg=projected.epsg,
        name=projected.crs.name,
        vertical=heights.get("epsg"),
    )


def _write_contours(rasters: Rasters, placed: Placed, path: Path) -> float:
    """Write contours of the coarsened surface as GeoJSON (RFC 7946: WGS 84); return their interval in metres."""
    step = max(1, round(np.sqrt(rasters.grid.cells / _CONTOUR_CELLS)))
    coarse = coarsened(rasters.heights, step)
    found = coarse[np.isfinite(coarse)]
    span = float(np.ptp(np.percentile(found, (2, 98)))) if len(found) else 0.0
    interval = next((value for value in _ROUND if span / value <= _CONTOUR_LINES), _ROUND[-1])
    features = []
    for level, line in contours(coarse, interval):
        x = rasters.grid.west + line[:, 0] * step * rasters.grid.cell
        y = rasters.grid.north - line[:, 1] * step * rasters.grid.cell
        places = placed.projected.to_geographic((np.column_stack([x, y]) + placed.corner[:2]) / placed.unit[:2])
        coordinates = [[round(longitude, 9), round(latitude, 9)] for longitude, latitude in places.tolist()]
        geometry = {"type": "LineString", "coordinates": coordinates}
        features.append({"type": "Feature", "properties": {"height": round(level, 3)}, "geometry": geometry})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}) + "\n", encoding="utf-8")
    return interval


def _overview(rgb: Bytes, valid: NDArray[np.bool_], path: Path) -> None:
    """Write a small picture of a map (H, W, 3), white where it is not `valid` (H, W)."""
    height, width = valid.shape
    step = max(1, -(-max(width, height) // _OVERVIEW))
    rows, columns = (max(1, size // step) for size in (height, width))
    picture = Image.new("RGB", (columns, rows), "white")
    for top in range(0, rows, 256):  # strip by strip: a map may exceed the memory
        part = (slice(top * step, min(top + 256, rows) * step), slice(0, columns * step))
        shown = np.where(valid[part][..., None], rgb[part], 255).astype(np.uint8)
        picture.paste(Image.fromarray(shown).resize((columns, shown.shape[0] // step), Image.Resampling.BOX), (0, top))
    picture.save(path, quality=90)


def _surface_of(scene: Scene) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Points (N, 3) on the scene's surfaces: the dense points, or the solid Gaussians if there are few dense points."""
    if len(scene.dense.points) > len(scene.gaussians) // 10:
        return scene.dense.points
    return scene.gaussians.means[scene.gaussians.opacities > -1].astype(np.float64)


def _gsd(scene: Scene) -> float:
    """The median size of a photo's pixel on the scene, in metres."""
    if scene.survey and scene.survey["gsd_metres"]:
        return float(scene.survey["gsd_metres"])
    places = _surface_of(scene)
    sizes = [depths[depths > 0] / view.camera.fx for view in scene.views for _, depths in [view.camera.project(places)]]
    return float(np.median(np.concatenate(sizes)))
