"""The compressor's work under the stage contract (docs/contracts.md)."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from compressor.comparison import compare
from compressor.compress import Compressed, compress
from compressor.framing import FIELD_OF_VIEW, Framing, frame_scene
from compressor.limits import limits_of
from compressor.pictures import write_orbit, write_preview
from compressor.presets import OF_QUALITY
from compressor.quality import held_out_photos
from compressor.sog.encoder import arrange
from compressor.source import read_source, visible
from compressor.spz import write_spz
from compressor.streamed import Layout, write_streamed
from compressor.surroundings import default_surroundings
from compressor.viewer import BUNDLE, Journey, Page, write_page
from contract.codes import WarningCode
from splat.ply import property_names
from splat.surroundings import Surroundings, write_surroundings
from stage.contract import Folders, StageContext
from stage.result import StageOutcome, Warning

INPUT = "model"
STREAM_FROM = 1_000_000
"""Gaussians above which a scene is also written in levels of detail, to be streamed."""
_JOURNEY_STOPS = 16
_JOURNEY_SECONDS = 60.0
_DOWNLOADS = ("scene.ply", "scene.spz")


def result_folder(folders: Folders) -> Path:
    """Where the stage leaves its output."""
    return folders.processing_output


def work(context: StageContext) -> StageOutcome:
    """Compress the splat, verify the file, and put page and pictures beside it."""
    watch, report = context.stopwatch, context.progress.report

    def progress(start: float, end: float) -> Callable[[float, str], None]:
        def say(share: float, text: str) -> None:
            context.check_stop()
            report(start + (end - start) * share, text)

        return say

    with watch("read"):
        report(0.0, "reading the splat")
        source = read_source(context.folders.processing_input(INPUT), context.scratch)
        # a PLY like INRIA's: 4 bytes a property
        raw = len(source.gaussians) * 4 * len(property_names(source.gaussians.shN.shape[1]))
        gaussians, warnings = visible(source.gaussians)
        gaussians = arrange(gaussians)
        source = replace(source, gaussians=gaussians)  # a large scene's fill the memory: none is kept twice
        held_out = held_out_photos(source.views, source.folder)
        framing = frame_scene(gaussians, source.views, source.z_up)
        surroundings = source.surroundings or default_surroundings(
            gaussians, [view.camera for view in source.views], framing.up
        )
    with watch("compress"):
        preset = OF_QUALITY[context.options.quality]
        result = compress(
            gaussians, source.views, held_out, framing, preset, progress(0.05, 0.6), context.check_stop,
            antialiased=source.antialiased,
        )  # fmt: skip
    staging = context.scratch / "output"
    (staging / "viewer").mkdir(parents=True)
    (staging / "scene.sog").write_bytes(result.sog)
    with zipfile.ZipFile(staging / "scene.sog") as archive:  # unbundled, for a server that hands out single files
        archive.extractall(staging / "sog")
    shutil.copyfile(source.ply, staging / "scene.ply")
    write_surroundings(staging / "surroundings.json", surroundings)
    write_spz(staging / "scene.spz", gaussians, antialiased=source.antialiased)
    if len(result.arranged) > STREAM_FROM:
        with watch("stream"):
            say = progress(0.6, 0.65)
            write_streamed(
                staging / "lod", result.arranged, result.coarseness, Layout(),
                lambda share: say(share, "writing levels of detail"), antialiased=source.antialiased,
            )  # fmt: skip
    with watch("pictures"):
        say = progress(0.65, 0.9)
        invented = write_preview(staging / "preview.png", staging / "poster.jpg", result.decoded, framing, surroundings)
        write_orbit(
            staging / "orbit.webp", result.decoded, framing, surroundings,
            lambda share: say(share, "drawing the orbit"),
        )  # fmt: skip
    with watch("compare"):
        say = progress(0.9, 0.95)
        views = (
            compare(held_out, gaussians, result.decoded, staging, lambda share: say(share, "comparing with the photos"))
            if held_out
            else []
        )
    with watch("viewer"):
        report(0.95, "writing the viewer page")
        _write_viewer(staging, result, framing, surroundings, context.options.scene_name, metric=source.z_up)
    deliver(staging, context.folders.processing_output)
    if result.strays:
        warnings.append(
            Warning(WarningCode.STRAY_GAUSSIANS, f"{result.strays} Gaussians in no camera's picture, far off or alone")
        )
    if not result.met:
        warnings.append(
            Warning(WarningCode.TARGET_MISSED, f"compression cost {result.loss:.3f} dB, not {result.target_loss}")
        )
    return StageOutcome(
        counts={"gaussians": len(result.decoded), "thinned": result.thinned, "bytes": len(result.sog)},
        metrics={
            "psnrBefore": _rounded(result.psnr_before),
            "psnrAfter": _rounded(result.psnr_after),
            "ssimBefore": _mean_ssim([view.ssim_before for view in views]),
            "ssimAfter": _mean_ssim([view.ssim_after for view in views]),
            "views": [view.as_json() for view in views],
            "inventedShare": round(invented, 4),
            "fidelity": _rounded(result.fidelity),
            "ratio": round(raw / len(result.sog), 2),
            "bytesByFile": result.bytes_by_file,
            "preset": preset.value,
        },
        timings=watch.seconds,
        warnings=warnings,
    )


def _write_viewer(
    staging: Path, result: Compressed, framing: Framing, surroundings: Surroundings, name: str, *, metric: bool
) -> None:
    positions = [framing.camera(turn, 16, 9).position for turn in framing.turns(_JOURNEY_STOPS)]
    page = Page(
        title=name,
        journey=Journey(positions, framing.target, FIELD_OF_VIEW, _JOURNEY_SECONDS),
        surroundings=surroundings,
        limits=limits_of(framing, surroundings),
        poster=(staging / "poster.jpg").read_bytes(),
        metric=metric,
        downloads={file: (staging / file).stat().st_size for file in _DOWNLOADS if (staging / file).is_file()},
    )
    write_page(staging / "viewer" / "index.html", BUNDLE, result.sog, page)


def deliver(staging: Path, folder: Path) -> None:
    """Move every file of `staging` into `folder`, each by rename, so that half a file is never a result."""
    for path in sorted(path for path in staging.rglob("*") if path.is_file()):
        goal = folder / path.relative_to(staging)
        goal.parent.mkdir(parents=True, exist_ok=True)
        partial = goal.with_name(goal.name + ".partial")
        shutil.move(path, partial)  # the scratch folder may be on another file system
        partial.replace(goal)


def _mean_ssim(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
