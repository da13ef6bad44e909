"""The stage's output: every file is written to a staging folder, then moved to where it is uploaded from."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from compressor.deliver.comparison import Comparison, compare
from compressor.deliver.environment import environment_of
from compressor.deliver.limits import limits_of
from compressor.deliver.parts import write_parts
from compressor.deliver.photos import Photos
from compressor.deliver.pictures import write_orbit, write_preview
from compressor.deliver.spz import FixedPoint, without_outliers
from compressor.deliver.streamed import Layout, write_streamed
from compressor.deliver.survey import Survey
from compressor.deliver.tiles import write_tiles
from compressor.deliver.viewer import Journey, Page, upright_rotation, write_page, write_streaming_page
from compressor.encode.compress import Compressed
from compressor.encode.quality import HeldOut
from compressor.framing import FIELD_OF_VIEW, Framing
from compressor.source import Source
from contract.files import whole, write_json
from splat.glb import write_glb
from splat.ply import write_ply
from splat.stored import NOWHERE
from splat.surroundings import Surroundings, write_surroundings

STREAMING_PAGE = "stream.html.gz"
_JOURNEY_STOPS = 16
_JOURNEY_SECONDS = 60.0
_DOWNLOADS = ("scene.ply", "scene.spz")
STREAM_ABOVE = 20_000_000
"""Bytes of SOG above which there is a page that streams: in one HTML file these are 27 MB, 21 s at 10 Mbit/s before
anything is shown, and text that a phone must hold beside what it is decoded to."""


@dataclass(frozen=True)
class Delivery:
    """The files of one compressed splat below `folder`, which exists and is empty; `page`: the splat in the page.

    `progress` of the methods receives the share of its files that are written, 0..1.
    """

    folder: Path
    source: Source
    result: Compressed
    page: Compressed
    framing: Framing
    surroundings: Surroundings
    survey: Survey
    photos: Photos = field(default_factory=Photos)

    def write_splats(self) -> None:
        """Write the splat as SOG, bundled and unbundled, and as PLY, SPZ and GLB; surroundings.json, and offset.json if
        there is an offset.

        A PLY in the usual layout is delivered unchanged; for any other file, the PLY contains what was read from it.
        """
        bundled = self.folder / "scene.sog"
        bundled.write_bytes(self.result.sog)
        with zipfile.ZipFile(bundled) as archive:  # unbundled, for a server that hands out single files
            archive.extractall(self.folder / "sog")
        if self.source.plain:
            shutil.copyfile(self.source.file, self.folder / "scene.ply")
        else:
            write_ply(self.folder / "scene.ply", self.source.gaussians, self.source.marks)
        write_surroundings(self.folder / "surroundings.json", self.surroundings)
        if self.source.marks.offset != NOWHERE:
            write_json(self.folder / "offset.json", {"version": 1, "offset": list(self.source.marks.offset)})
        gaussians, antialiased = self.source.gaussians, self.source.marks.antialiased
        spz = FixedPoint.of(without_outliers(gaussians), antialiased=antialiased)
        spz.write_legacy(self.folder / "scene.spz")
        spz.write(self.folder / "scene.v4.spz")
        x, y, z, w = upright_rotation(self.surroundings.up)
        write_glb(self.folder / "scene.glb", gaussians, (float(x), float(y), float(z), float(w)))

    def write_levels(self, progress: Callable[[float], None]) -> None:
        """Write the levels of detail for streaming, from all Gaussians even if the scene is too large for memory."""
        if self.source.parts:
            write_parts(
                self.folder / "lod", self.source.parts, self.source.views, self.framing, self.surroundings,
                self.page.coarseness, progress, marks=self.source.marks, thumbnails=self.photos.thumbnails.jpegs,
            )  # fmt: skip
            return
        arranged = self.page.arranged
        write_streamed(
            self.folder / "lod", arranged, self.page.coarseness, Layout.of(len(arranged)), progress,
            marks=self.source.marks, environment=environment_of(arranged.gaussians, self.surroundings),
            thumbnails=self.photos.thumbnails.jpegs,
        )  # fmt: skip

    def write_tiles(self, progress: Callable[[float], None]) -> None:
        """Write 3D Tiles of a scene with a place on Earth, without its environment: a globe has its own sky."""
        if self.source.place is not None:
            gaussians, marks = self.result.arranged.gaussians, self.source.marks
            near = gaussians.select(~environment_of(gaussians, self.surroundings))
            write_tiles(
                self.folder / "tiles", near, self.source.place, marks.offset, self.source.heights, progress,
                antialiased=marks.antialiased,
            )  # fmt: skip

    def write_pictures(self, progress: Callable[[float], None]) -> float:
        """Write preview, poster and orbit. Returns the share of the preview that no photo shows, 0..1."""
        decoded, framing, surroundings = self.result.decoded, self.framing, self.surroundings
        antialiased = self.source.marks.antialiased
        invented = write_preview(
            self.folder / "preview.png", self.folder / "poster.jpg", decoded, framing, surroundings,
            antialiased=antialiased,
        )  # fmt: skip
        write_orbit(self.folder / "orbit.webp", decoded, framing, surroundings, progress, antialiased=antialiased)
        return invented

    def compare(self, held_out: HeldOut, progress: Callable[[float], None]) -> list[Comparison]:
        """Score the held-out photos and write each beside its render."""
        return compare(held_out, self.source.gaussians, self.result.decoded, self.folder, progress)

    def write_viewer(self, bundle: Path, title: str, stream_above: int = STREAM_ABOVE) -> None:
        """Write the page, after the files that it offers for download; `bundle`: the folder of the built viewer.

        For a SOG of more than `stream_above` bytes, and for a scene too large for memory, also write the page that
        streams the levels of detail.
        """
        positions = [self.framing.camera(turn, 16, 9).position for turn in self.framing.turns(_JOURNEY_STOPS)]
        files = {name: (self.folder / name).stat().st_size for name in _DOWNLOADS if (self.folder / name).is_file()}
        page = Page(
            title=title,
            journey=Journey(positions, self.framing.target, FIELD_OF_VIEW, _JOURNEY_SECONDS),
            surroundings=self.surroundings,
            limits=limits_of(self.framing, self.surroundings),
            poster=(self.folder / "poster.jpg").read_bytes(),
            metric=self.source.z_up,
            antialiased=self.source.marks.antialiased,
            downloads=files,
            survey=self.survey,
            photos=self.photos,
        )
        (self.folder / "viewer").mkdir()
        write_page(self.folder / "viewer" / "index.html", bundle, self.page.sog, page)
        if len(self.page.sog) > stream_above or self.source.parts:
            page = replace(page, downloads=files | {"scene.sog": (self.folder / "scene.sog").stat().st_size})
            write_streaming_page(self.folder / "viewer" / STREAMING_PAGE, bundle, page)

    def move_to(self, output: Path) -> None:
        """Move every file into `output` by renaming, so that a result never contains a partial file."""
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            goal = output / path.relative_to(self.folder)
            goal.parent.mkdir(parents=True, exist_ok=True)
            with whole(goal) as partial:
                shutil.move(path, partial)  # the scratch folder may be on another file system
