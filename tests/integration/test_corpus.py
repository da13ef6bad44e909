"""What pilots' memory cards, cameras and tools produce: for each kind of upload, preflight's answer and what sfm
reads.

The photos are small and are not matched; whether a set becomes a scene is tested with the stages. If preflight refuses
an upload, sfm must refuse it with the same code, so that the answer is right whichever of the two gave it.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from contract.archive import Method
from contract.codes import ErrorCode
from contract.shots import Kind
from contract.stages import PipelineStep, Stage
from contract.warning_codes import WarningCode
from domain.errors import RejectedUpload
from domain.preflight import check_bare_film, check_contents, check_entries, read_entries
from domain.upload_kind import START_BYTES, UploadKind, kind_of
from sfm import gate
from sfm.budget import TimeBudget
from sfm.placing import read_control_points
from sfm.stage import Upload, _Work
from stage.contract import Folders, StageContext
from stage.environment import StageEnvironment
from stage.errors import StageError
from stage.progress import ProgressReporter
from tests.support.archives import Packed, archive_of, zip_of
from tests.support.corpus import PANORAMA, PHOTOS, encoded, photos, picture
from tests.support.films import film_bytes, marked_spherical

FRAMES = "frames"


@dataclass(frozen=True)
class Case:
    """An upload and the expected answer. `photos`: how many count, FRAMES for those of films, or the code of a
    refusal; `seconds`: kinds of second images; `warnings`: those about films; `preflight`: how many preflight counts,
    if only the contents of the files tell the kinds apart."""

    name: str
    body: Callable[[], bytes]
    photos: int | str | ErrorCode = PHOTOS
    seconds: frozenset[Kind] = frozenset()
    warnings: tuple[WarningCode, ...] = ()
    preflight: int | None = None


def entries(files: dict[str, bytes], method: int = Method.STORED) -> list[Packed]:
    """Entries as macOS writes them: names in UTF-8 without the flag that says so."""
    return [Packed(name.encode(), body, method) for name, body in files.items()]


def thermal() -> dict[str, bytes]:
    return {
        **photos("DJI_20260501123000_{:04d}_V.JPG", PHOTOS - 1),
        **photos("DJI_20260501123000_{:04d}_T.JPG", PHOTOS, first=50),
    }


def bands() -> dict[str, bytes]:
    grey = {
        f"DJI_20260501123000_{k + 1:04d}_MS_{band}.TIF": encoded(picture(90 + k, grey=True), "TIFF")
        for k in range(PHOTOS)
        for band in ("G", "R", "RE", "NIR")
    }
    return {**photos("DJI_20260501123000_{:04d}_D.JPG"), **grey}


def masks() -> dict[str, bytes]:
    return {**photos(), **{f"DJI_{k + 1:04d}_mask.JPG": encoded(picture(70 + k, grey=True)) for k in range(PHOTOS)}}


CARD = {"DJI_0001.SRT": b"1\n00:00:00,000 --> 00:00:01,000\nx\n", "DJI_0001.LRF": b"x" * 200, "Thumbs.db": b"x"}
CASES = [
    Case("photos alone", lambda: zip_of(photos())),
    Case("a folder of Finder's with a colon", lambda: zip_of(photos("Flug 3:4/DJI_{:04d}.JPG"))),
    Case("Windows separators", lambda: zip_of(photos("flug\\DJI_{:04d}.JPG"))),
    Case("names in UTF-8 without its flag", lambda: archive_of(entries(photos("Dachfläche_{:02d}.JPG")))),
    Case("an entry twice", lambda: archive_of([*entries(photos()), *entries(photos(count=1))])),
    Case("logs of the flight, packed", lambda: zip_of({**photos(), "a.26O.gz": b"x" * 99, "b.zip": b"x" * 99})),
    Case(
        "a method that no tool reads", lambda: archive_of(entries(photos(), method=77)), ErrorCode.UNSUPPORTED_ARCHIVE
    ),
    Case("one name out of the folder", lambda: zip_of({**photos(), "../a.JPG": b"x"}), ErrorCode.UNSAFE_ARCHIVE),
    Case("nothing", lambda: zip_of({}), ErrorCode.EMPTY_ARCHIVE),
    Case("no archive", lambda: b"Rar!\x1a\x07" + bytes(500), ErrorCode.NOT_A_ZIP),
    Case(
        "photos of every format",
        lambda: zip_of(
            {
                f"{kind}_{k}.{suffix}": encoded(picture(10 * k + n), kind)
                for n, (kind, suffix) in enumerate((("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")))
                for k in range(2)
            }
        ),
        8,
    ),
    Case("thermal, one visible photo fewer", lambda: zip_of(thermal()), PHOTOS - 1, frozenset({Kind.THERMAL})),
    Case("colour and four bands", lambda: zip_of(bands()), PHOTOS, frozenset({Kind.BAND})),
    Case("masks beside photos", lambda: zip_of(masks()), PHOTOS, frozenset({Kind.MASK})),
    Case(
        "a panorama among photos",
        lambda: zip_of({**photos(), "round.jpg": encoded(picture(99, (640, 320)), xmp=PANORAMA)}),
        PHOTOS,
        frozenset({Kind.PANORAMA}),
        preflight=PHOTOS + 1,
    ),
    Case(
        "photos of a 360° camera",
        lambda: zip_of({f"R{k}.JPG": encoded(picture(k, (640, 320)), xmp=PANORAMA) for k in range(PHOTOS)}),
        ErrorCode.PANORAMA,
        preflight=PHOTOS,
    ),
    Case(
        "a card with photos and a film",
        lambda: zip_of({**photos(), **CARD, "DJI_0001.MP4": film_bytes()}),
        warnings=(WarningCode.FILMS_LEFT_OUT,),
    ),
    Case("a card with a film", lambda: zip_of({**CARD, "DJI_0001.MP4": film_bytes()}), FRAMES),
    Case(
        "a card with a film and two snapshots",
        lambda: zip_of({**photos(count=2), "DJI_0001.MP4": film_bytes()}),
        FRAMES,
    ),
    Case(
        "a film of a 360° camera in a ZIP",
        lambda: zip_of({**CARD, "VID_0001.MP4": marked_spherical(film_bytes())}),
        ErrorCode.PANORAMA,
    ),
    Case(
        "two films in a ZIP, one of them damaged",
        lambda: zip_of({"a.MP4": b"no film" * 500, "b.MP4": film_bytes()}),
        FRAMES,
        warnings=(WarningCode.FILM_DAMAGED,),
    ),
    Case("a film", lambda: film_bytes(), FRAMES),
    Case("a film in HEVC", lambda: film_bytes(codec="libx265", pixel_format="yuv420p10le"), FRAMES),
    Case("a film cut off before its index", lambda: film_bytes()[:-4000], ErrorCode.UNREADABLE_FILM),
    Case(
        "a film cut off behind its index",
        lambda: (body := film_bytes(index_first=True))[: len(body) * 6 // 10],
        FRAMES,
        warnings=(WarningCode.FILM_DAMAGED,),
    ),
    Case("a film of a 360° camera", lambda: marked_spherical(film_bytes()), ErrorCode.PANORAMA),
]


def preflight(body: bytes) -> int | ErrorCode:
    stream = io.BytesIO(body)
    try:
        if kind_of("upload", stream.read(START_BYTES)) is UploadKind.FILM:
            check_bare_film(stream)
            return 0
        listed = read_entries(stream)
        count = check_entries(listed, len(body), PipelineStep.FULL)
        check_contents(stream, listed, PipelineStep.FULL)
        return count
    except RejectedUpload as rejected:
        return rejected.error.code


def read(body: bytes, folder: Path) -> Upload | ErrorCode:
    """What sfm reads of the upload, up to its list of photos."""
    folders = Folders(folder / "ml")
    given = folders.processing_input("upload")
    given.mkdir(parents=True)
    (given / "upload.zip").write_bytes(body)
    (folder / "scratch").mkdir()
    context = StageContext(
        job_id="local",
        attempt=1,
        options=StageEnvironment.read({}).options,
        folders=folders,
        scratch=folder / "scratch",
        progress=ProgressReporter(Stage.SFM, "local", 1, lambda _event: None),
        stopping=threading.Event(),
    )
    try:
        upload = _Work(context, TimeBudget(math.inf), 1).read_upload()
        skipped = upload.pictures.skipped
        gate.check_photos(len(upload.photos) + len(skipped), len(upload.photos), skipped)
    except StageError as error:
        return error.code
    return upload


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_upload_gets_its_answer(case: Case, tmp_path: Path) -> None:
    body = case.body()
    before, after = preflight(body), read(body, tmp_path)
    if isinstance(case.photos, ErrorCode):
        assert after is case.photos
        assert before == (case.photos if case.preflight is None else case.preflight)
        return
    assert isinstance(after, Upload), after
    assert {image.shot.kind for image in after.pictures.second_images} == case.seconds
    assert tuple(warning.code for warning in after.warnings) == case.warnings
    if case.photos == FRAMES:
        assert before == 0
        assert len(after.photos) >= PHOTOS
        assert all(photo.moment is not None for photo in after.photos)
    else:
        assert len(after.photos) == case.photos
        assert before == (case.photos if case.preflight is None else case.preflight)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp437", "latin-1"])
def test_control_points_find_their_photos_under_the_names_that_were_typed(encoding: str, tmp_path: Path) -> None:
    """Names in the ZIP are UTF-8 without the flag, and the list comes from another program."""
    names = [f"Dachfläche_{number:02d}.JPG" for number in range(1, PHOTOS + 1)]
    marks = "\n".join(f"412300 5245800 {520 + number} 10 20 {name} P{number}" for number, name in enumerate(names))
    listed = {"gcp_list.txt": f"EPSG:32632\n{marks}\n".encode(encoding)}
    upload = read(archive_of(entries({**photos("Dachfläche_{:02d}.JPG"), **listed})), tmp_path)
    assert isinstance(upload, Upload)
    assert [photo.original for photo in upload.photos] == names
    points, system = read_control_points(upload.gcp_files, upload.photos)
    assert system.to_epsg() == 32632
    assert {mark.photo for point in points for mark in point.marks} == {photo.name for photo in upload.photos}
