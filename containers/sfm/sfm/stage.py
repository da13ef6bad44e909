"""The stage's work from archive to scene: each step once, in order, with the gate before anything is delivered."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pycolmap

from contract.codes import EVIDENCED
from contract.files import write_json
from contract.films import HEAD_BYTES, begins_as_film, is_film
from contract.stages import PipelineStep
from contract.wanted import is_control_list, is_photo, is_side_file, wanted_of
from contract.warning_codes import WarningCode
from sfm import gate
from sfm.account import Evidence, account
from sfm.blocks import divide
from sfm.budget import CALIBRATED_BY, MAPPED_BY, MATCHED_BY, OutOfTimeError, TimeBudget, job_seconds
from sfm.describe import Described, describe_photos
from sfm.evidence import write_evidence
from sfm.film.frames import frames_of, stem_of
from sfm.ingest import Ingested, ingest, natural_key
from sfm.lens import begin_with_lenses
from sfm.mapping import Mapped, map_scene
from sfm.matching import match_pairs, verified_pairs
from sfm.native import run_native
from sfm.parallel import available_cores
from sfm.parts import part_progress
from sfm.photos import Photo
from sfm.placing import lost_places, place
from sfm.plot import plot_scene
from sfm.remarks import (
    camera_warnings,
    photo_warnings,
    place_warnings,
    telemetry_warnings,
    unused_lists,
    upload_warnings,
)
from sfm.rounding import round_off
from sfm.survey import survey
from sfm.undistort import write_undistorted
from stage.archive import DAMAGED, UnpackedFile, entries_in, names_of_files, unpack
from stage.contract import StageContext
from stage.errors import ErrorCode, StageError
from stage.result import StageOutcome, Warning

BARE_FILM = "film"  # what an upload that is a film is called: the pipeline keeps no other name of it


@dataclass(frozen=True)
class Upload:
    """What the archive holds: its pictures, lists of control points, the names of archives within it, and what the
    customer should know of its films and of damaged lists.
    """

    pictures: Ingested
    gcp_files: list[UnpackedFile]
    nested: list[str]
    warnings: list[Warning] = field(default_factory=list)

    @property
    def photos(self) -> list[Photo]:
        """The photos that can be used."""
        return self.pictures.photos

    @property
    def folder(self) -> Path:
        """Where the usable photos lie."""
        return self.photos[0].path.parent


@dataclass(frozen=True)
class Solved:
    """The results of matching and mapping; `model`: the folder of the largest model, if there is one."""

    described: Described
    verified: list[tuple[str, str]]
    mapped: Mapped
    model: Path

    @property
    def placed(self) -> frozenset[str]:
        return frozenset(self.mapped.models[0] if self.mapped.models else [])


@dataclass
class Known:
    """What the stage has found out so far; what is shown of an upload that is refused."""

    described: Described | None = None
    solved: Solved | None = None

    @property
    def model(self) -> Path | None:
        return self.solved.model if self.solved else None

    @property
    def evidence(self) -> Evidence:
        if self.described is None:
            return Evidence()
        if self.solved is None:
            return Evidence(self.described.features, self.described.blurred)
        mapped = self.solved.mapped
        return Evidence(
            self.described.features, self.described.blurred, self.solved.verified, mapped.models, mapped.cut_short
        )


def reconstruct_scene(context: StageContext) -> StageOutcome:
    """Reconstruct cameras and sparse points from the uploaded ZIP of photos (docs/contracts.md, sfm).

    Parameters
    ----------
    context
        `folders.processing_input("upload")` holds one file, the ZIP; `folders.processing_output` receives the scene.
        `progress`, `stopwatch`, `scratch` and `check_stop` are the stage's own. The time limit is that of the
        processing job (`sfm.budget.job_seconds`), none outside SageMaker.

    Returns
    -------
    StageOutcome
        counts: `photos`, `usable`, `registered`, `points`, `models`, `cameras`, `pairs`, `verifiedPairs`, `blocks`;
        metrics: `reprojectionError` (pixels), `meanTrackLength` (photos per point), `registeredShare` (0..1), `gpsRms`
        (metres, None without a georeference), `meanOverlap` (photos per seen square of ground), `overlapShare`
        (0..1), `calibration` (what was refined); warnings with photo names.

    Raises
    ------
    StageError
        With a code of docs/contracts.md. The output folder is then left empty, and `folders.evidence` holds what the
        customer is to see where the photos are to blame (`contract.codes.EVIDENCED`).
    """
    work = _Work(context, TimeBudget(job_seconds(context.folders.root)), available_cores())
    upload, known = work.read_upload(), Known()
    photos, skipped = upload.photos, upload.pictures.skipped
    try:
        gate.check_photos(len(photos) + len(skipped), len(photos), skipped)
        known.described = work.describe(upload)
        gate.check_features(list(known.described.features.values()))
        known.solved = solved = work.solve(upload, known.described)
        unregistered = [photo for photo in photos if photo.name not in solved.placed]
        sizes = [len(names) for names in solved.mapped.models]
        warnings = gate.check_registration(
            gate.Registration(
                len(photos),
                len(solved.verified),
                sizes,
                [photo.original for photo in unregistered],
                solved.mapped.cut_short,
            )
        )
    except OutOfTimeError:
        write_evidence(context.folders.evidence, upload, replace(known.evidence, cut_short=True), None)
        facts = f"{len(photos)} photos were not placed within {work.budget.seconds:.0f} s"
        raise StageError(ErrorCode.TIME_BUDGET, facts) from None
    except StageError as error:
        if error.code in EVIDENCED:
            write_evidence(context.folders.evidence, upload, known.evidence, known.model)
        raise
    model = pycolmap.Reconstruction(solved.model)
    with context.stopwatch("georegister"):
        georegistration, gcp_warnings = place(model, upload)
        round_off(model)
        model.write(solved.model)
    rows = account(photos, skipped, known.evidence, upload.pictures.second_images)
    with staged(context.folders.processing_output) as output:
        work.undistort(solved.model, upload.folder, output, len(solved.placed))
        with context.stopwatch("plot"):
            overlap = plot_scene(output, georegistration, lost_places(unregistered, georegistration))
        write_json(output / "photos.json", rows)
        georeference = georegistration.as_json()
        write_json(output / "georeference.json", georeference)
        figures = survey(model, photos, georegistration, overlap)
        write_json(output / "survey.json", figures)
        with context.stopwatch("blocks"):
            blocks, block_warnings = divide(
                output, len(solved.placed), context.options.blocks, georeferenced=georeference["georeferenced"]
            )
    return StageOutcome(
        counts={
            "photos": len(photos) + len(skipped),
            "usable": len(photos),
            "registered": len(solved.placed),
            "points": model.num_points3D(),
            "models": len(sizes),
            "cameras": model.num_cameras(),
            "pairs": len(solved.described.pairs),
            "verifiedPairs": len(solved.verified),
            "blocks": blocks,
        },
        metrics={
            "reprojectionError": round(model.compute_mean_reprojection_error(), 4),
            "meanTrackLength": round(model.compute_mean_track_length(), 3),
            "registeredShare": round(len(solved.placed) / len(photos), 4),
            "gpsRms": georeference["rms_metres"],
            "meanOverlap": round(overlap.mean, 2),
            "overlapShare": round(overlap.enough_share, 4),
            "calibration": solved.mapped.calibration,
        },
        timings=context.stopwatch.seconds,
        warnings=[
            *upload.warnings,
            *warnings,
            *gcp_warnings,
            *photo_warnings(rows),
            *upload_warnings(upload.pictures.second_images, upload.pictures.unused_masks, upload.nested),
            *place_warnings(photos, georegistration),
            *camera_warnings(model, photos, figures["gsd_metres"]),
            *block_warnings,
        ],
    )


@dataclass(frozen=True)
class _Work:
    """The steps, each in a child process of its own, with the stage's clock and progress."""

    context: StageContext
    budget: TimeBudget
    threads: int

    @property
    def database(self) -> Path:
        return self.context.scratch / "colmap.db"

    def read_upload(self) -> Upload:
        archive = _only_file(self.context.folders.processing_input("upload"))
        with archive.open("rb") as stream:
            if begins_as_film(stream.read(HEAD_BYTES)):
                return self._read_films([UnpackedFile(BARE_FILM, archive)], [], {})
        listed = entries_in(archive)
        names = [name for name in names_of_files(listed) if not is_side_file(name)]
        with self.context.stopwatch("unpack"):
            unpacked = unpack(
                archive,
                self.context.scratch / "archive",
                wanted_of(PipelineStep.FULL, names),
                progress=self._part("unpack", "unpacking the upload"),
                listed=listed,
            )
        films = [file for file in unpacked.files if is_film(PurePosixPath(file.name))]
        films.sort(key=lambda file: natural_key(file.name))
        damaged_films = [name for name in unpacked.damaged if is_film(PurePosixPath(name))]
        if films or damaged_films:
            beside = {stem_of(file.name): file.path for file in unpacked.files if not is_film(PurePosixPath(file.name))}
            lists = [str(name) for name in names if is_control_list(name)]
            warnings = [
                *telemetry_warnings([name for name in unpacked.damaged if name not in damaged_films]),
                *unused_lists(lists, "marks name photos by their files, and film frames have no file names"),
            ]
            return replace(self._read_films(films, damaged_films, beside, warnings), nested=unpacked.nested)
        files = [file for file in unpacked.files if is_photo(PurePosixPath(file.name))]
        damaged = [name for name in unpacked.damaged if is_photo(PurePosixPath(name))]
        gcp_files = [file for file in unpacked.files if not is_photo(PurePosixPath(file.name))]
        warnings = unused_lists([name for name in unpacked.damaged if name not in damaged], DAMAGED)
        if not files and not damaged:
            return Upload(Ingested(), gcp_files, unpacked.nested, warnings)
        with self.context.stopwatch("ingest"):
            progress = self._part("ingest", "checking photos", len(files) + len(damaged))
            arguments = (files, damaged, self.context.scratch / "photos", self.threads)
            pictures = run_native(ingest, arguments, progress)
        left_out = _left_out([str(name) for name in names if is_film(name)])
        return Upload(pictures, gcp_files, unpacked.nested, [*warnings, *left_out])

    def _read_films(
        self,
        films: list[UnpackedFile],
        damaged: list[str],
        telemetry: Mapping[str, Path],
        warnings: Sequence[Warning] = (),
    ) -> Upload:
        with self.context.stopwatch("ingest"):
            progress = self._part("ingest", "watching the film")
            arguments = (films, damaged, telemetry, self.context.scratch / "photos", self.threads)
            frames = run_native(frames_of, arguments, progress)
        return Upload(Ingested(frames.photos), [], [], [*frames.warnings, *warnings])

    def describe(self, upload: Upload) -> Described:
        """Features and pairs. Raises OutOfTimeError."""
        photos = upload.photos
        with self.context.stopwatch("features"):
            progress = self._part("features", "analysing photos", len(photos))
            arguments = (self.database, photos, self.threads)
            return run_native(describe_photos, arguments, self.budget.ending(MATCHED_BY, progress))

    def solve(self, upload: Upload, described: Described) -> Solved:
        """Matches and models. Raises OutOfTimeError."""
        photos, database = upload.photos, self.database
        with self.context.stopwatch("matching"):
            verified, all_matched = self._match(database, described.pairs)
        begin_with_lenses(database, photos)
        folder = self.context.scratch / "model"
        with self.context.stopwatch("mapping"):
            progress = self._part("mapping", "calculating camera positions", len(photos))
            task = (database, folder, len(photos), self.threads, self.budget.left(MAPPED_BY))
            mapped = run_native(map_scene, task, self.budget.ending(CALIBRATED_BY, progress))
        return Solved(described, verified, replace(mapped, cut_short=mapped.cut_short or not all_matched), folder)

    def _match(self, database: Path, pairs: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], bool]:
        """The verified pairs, and whether there was time to match all."""
        in_time = True
        progress = self._part("matching", "matching pairs of photos", len(pairs))
        try:
            run_native(match_pairs, (database, pairs, self.threads), self.budget.ending(MATCHED_BY, progress))
        except OutOfTimeError:
            in_time = False
        return verified_pairs(database), in_time

    def undistort(self, model: Path, photos: Path, output: Path, count: int) -> None:
        with self.context.stopwatch("undistort"):
            progress = self._part("undistort", "correcting lens distortion", count)
            run_native(write_undistorted, (model, photos, output, self.threads), progress)

    def _part(self, name: str, message: str, total: int = 1) -> Callable[[float], None]:
        return part_progress(self.context, name, message, total)


def _left_out(films: list[str]) -> list[Warning]:
    return [Warning(WarningCode.FILMS_LEFT_OUT, f"{len(films)} films are left out", films)] if films else []


def _only_file(folder: Path) -> Path:
    files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    if len(files) != 1:
        raise StageError(ErrorCode.NOT_A_ZIP, f"expected one uploaded file, found {len(files)}")
    return files[0]


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder whose content moves into `folder` when the block succeeds, and that vanishes when it fails."""
    staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        yield staging
        for path in staging.iterdir():
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
