"""The compressor's work under the stage contract (docs/contracts.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from compressor.deliver.comparison import Comparison
from compressor.deliver.delivery import STREAM_ABOVE, Delivery
from compressor.deliver.photos import Photos, photos_of
from compressor.deliver.surroundings import default_surroundings
from compressor.deliver.survey import Survey, survey_of
from compressor.deliver.viewer import BUNDLE
from compressor.encode.compress import Compressed, compress_each
from compressor.encode.encoder import arrange
from compressor.encode.pace import Pace, seconds_for
from compressor.encode.presets import OF_QUALITY, Preset, for_page
from compressor.encode.quality import HeldOut, held_out_photos
from compressor.framing import Framing, frame_scene
from compressor.products import make_products, photo_folder, photo_rows, survey_figures
from compressor.source import Source, read_source, visible
from compressor.thumbnails import thumbnails_of
from contract.warning_codes import WarningCode
from geo.projected import UnusableSystemError, projection_of
from splat.ply import property_names
from splat.surroundings import Surroundings
from stage.contract import Folders, StageContext
from stage.errors import ErrorCode, StageError
from stage.result import StageOutcome, Warning

INPUT = "model"
STREAM_FROM = 1_000_000
"""The number of Gaussians above which a scene is also written in levels of detail for streaming."""


def result_folder(folders: Folders) -> Path:
    """The folder that receives the stage's output."""
    return folders.processing_output


def work(context: StageContext) -> StageOutcome:
    """Compress the splat, verify the file, and write the viewer page and pictures beside it.

    Parameters
    ----------
    context
        The channel `model` holds a splat, or training's output; for a large flight, the outputs of the coarse model and
        the blocks (contract/blocks.py). `options`: quality, name and coordinate system. The output folder receives the
        SOG, the page, pictures, other formats and the survey products (docs/contracts.md).

    Returns
    -------
    StageOutcome
        counts: `gaussians`, those `pruned`, `bytes` of the SOG; metrics: losses in dB (contract/schemas.py); warnings:
        also what could not be read or made.

    Raises
    ------
    StageError
        INVALID_SPLAT, INVALID_SCENE, LOW_QUALITY, INTERRUPTED, the codes of an unsafe archive.
    """
    watch, report = context.stopwatch, context.progress.report

    def progress(start: float, end: float) -> Callable[[float, str], None]:
        def say(share: float, text: str) -> None:
            context.check_stop()
            report(start + (end - start) * share, text)

        return say

    def progress_of(text: str, start: float, end: float) -> Callable[[float], None]:
        say = progress(start, end)
        return lambda share: say(share, text)

    with watch("read"):
        report(0.0, "reading the scene")
        scene = _Scene.read(context.folders.processing_input(INPUT), context.scratch)
    with watch("compress"):
        preset = OF_QUALITY[context.options.quality]
        gaussians = scene.source.gaussians
        seconds = seconds_for(preset, len(gaussians), scene.source.training_seconds)
        presets = list(dict.fromkeys([preset, for_page(preset)]))
        result, *others = compress_each(
            presets, gaussians, scene.source.views, scene.held_out, scene.framing,
            Pace(seconds, progress(0.05, 0.6), context.check_stop), marks=scene.source.marks,
        )  # fmt: skip
    staging = context.scratch / "output"
    staging.mkdir(parents=True)
    shown = others[-1] if others else result
    survey, photos = _survey(scene, survey_figures(context), photo_rows(context), context.options.epsg)
    with watch("thumbnails"):
        names = [view.name for view in scene.source.views]
        photos = replace(photos, thumbnails=thumbnails_of(photo_folder(context), names))
    delivery = Delivery(staging, scene.source, result, shown, scene.framing, scene.surroundings, survey, photos)
    delivery.write_splats()
    if len(shown.arranged) > STREAM_FROM or len(shown.sog) > STREAM_ABOVE or scene.source.parts:
        with watch("stream"):
            delivery.write_levels(progress_of("preparing streaming", 0.6, 0.63))
    with watch("tiles"):
        delivery.write_tiles(progress_of("writing 3D Tiles", 0.63, 0.65))
    with watch("pictures"):
        invented = delivery.write_pictures(progress_of("drawing preview pictures", 0.65, 0.9))
    with watch("compare"):
        comparing = progress_of("comparing with the photos", 0.9, 0.95)
        compared = delivery.compare(scene.held_out, comparing) if scene.held_out else []
    with watch("viewer"):
        report(0.95, "packing the viewer")
        delivery.write_viewer(BUNDLE, context.options.scene_name, STREAM_ABOVE)
    delivery.move_to(context.folders.processing_output)
    with watch("products"):
        products, missing = make_products(context, scene.source.folder, progress(0.96, 1.0))
    return StageOutcome(
        counts={"gaussians": len(result.decoded), "pruned": result.pruned, "bytes": len(result.sog)},
        metrics=_metrics(scene, preset, result, compared, invented) | {"products": products},
        timings=watch.seconds,
        warnings=[*scene.warnings, *_warnings(result), *missing],
    )


@dataclass(frozen=True)
class _Scene:
    """The splat in the file's order, and the data read or derived with it; `raw_bytes`: its size as a PLY like
    INRIA's."""

    source: Source
    raw_bytes: int
    held_out: HeldOut | None
    framing: Framing
    surroundings: Surroundings
    warnings: list[Warning]

    @classmethod
    def read(cls, folder: Path, scratch: Path) -> _Scene:
        """Read `folder`. Raises StageError: INVALID_SPLAT, INVALID_SCENE, the codes of an unsafe archive."""
        source = read_source(folder, scratch)
        raw_bytes = len(source.gaussians) * 4 * len(property_names(source.gaussians.shN.shape[1]))
        gaussians, warnings = visible(source.gaussians)
        # the arranged Gaussians replace those that were read: two copies of a large scene would not fit into memory
        source = replace(source, gaussians=arrange(gaussians))
        framing = frame_scene(source.gaussians, source.views, source.z_up, marked_up=source.marks.up)
        surroundings = source.surroundings or default_surroundings(
            source.gaussians, [view.camera for view in source.views], framing.up
        )
        warnings = [*source.warnings, *warnings]
        return cls(
            source,
            raw_bytes,
            held_out_photos(source.views, source.folder, source.surroundings, antialiased=source.marks.antialiased),
            framing,
            surroundings,
            warnings,
        )


def _survey(
    scene: _Scene, figures: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]] | None, epsg: int | None
) -> tuple[Survey, Photos]:
    """The data for measuring on the page. Raises StageError(INVALID_SCENE) if a companion file is malformed."""
    source = scene.source
    cameras = [view.camera for view in source.views]
    reach = float(np.abs(scene.surroundings.footprint).max())
    projected = None
    try:
        if source.place is not None:
            with suppress(UnusableSystemError):  # the page then shows local metres alone
                projected = projection_of(source.place, source.georeference, epsg)
        survey = survey_of(
            cameras, scene.framing.photo_distance, source.georeference, figures, source.marks.offset, projected, reach
        )
        return survey, photos_of(source.views, rows, figures)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        facts = f"georeference.json, survey.json or photos.json is malformed ({error!r})"
        raise StageError(ErrorCode.INVALID_SCENE, facts) from error


def _warnings(result: Compressed) -> list[Warning]:
    found = []
    if result.outliers:
        found.append(
            Warning(
                WarningCode.OUTLIER_GAUSSIANS,
                f"{result.outliers} Gaussians in no camera's picture, far away or isolated",
            )
        )
    if result.missed:
        found.append(Warning(WarningCode.TARGET_MISSED, result.missed))
    return found


def _metrics(
    scene: _Scene, preset: Preset, result: Compressed, compared: list[Comparison], invented: float
) -> dict[str, Any]:
    return {
        "psnrBefore": _rounded(result.psnr_before),
        "psnrAfter": _rounded(result.psnr_after),
        "ssimBefore": _mean_ssim([view.ssim_before for view in compared]),
        "ssimAfter": _mean_ssim([view.ssim_after for view in compared]),
        "views": [view.as_json() for view in compared],
        "inventedShare": round(invented, 4),
        "fidelity": _rounded(result.fidelity),
        "ratio": round(scene.raw_bytes / len(result.sog), 2),
        "bytesByFile": result.bytes_by_file,
        "preset": preset.value,
    }


def _mean_ssim(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
