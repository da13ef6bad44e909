"""What pilots' memory cards and tools produce → the result, in preflight and in the container, as a table."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from contract.archive import Method
from contract.codes import ErrorCode
from contract.shots import by_name, described, photos_of, second_images
from contract.stages import PipelineStep
from contract.wanted import WANTED, is_photo
from domain.errors import RejectedUpload
from domain.preflight import check_entries, read_entries
from stage.archive import Unpacked, unpack
from stage.errors import StageError
from tests.support.archives import ENCRYPTED, MS_DOS, UNIX, UTF8, Packed, archive_of

BODY = bytes(range(256)) * 2
NUMBERS = range(1, 13)


def flight(*patterns: str, numbers: Iterable[int] = NUMBERS) -> list[str]:
    return [pattern.format(number) for number in numbers for pattern in patterns]


@dataclass(frozen=True)
class Upload:
    """`archive`, and the answer: a code, or the photos of the scene; `beside`: files that do not count; `nested`:
    archives that are named but not opened."""

    archive: bytes
    photos: Sequence[str] = ()
    code: ErrorCode | None = None
    beside: str = ""
    nested: list[str] = field(default_factory=list)


def packed(
    names: Iterable[str], method: int = Method.DEFLATE, encoding: str = "utf-8", flags: int = 0, system: int = UNIX
) -> list[Packed]:
    return [Packed(name.encode(encoding), BODY, method, flags, system) for name in names]


def streamed(names: Iterable[str]) -> bytes:
    """Sizes and checksums after the data, as written by programs that cannot seek."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, offset: int, whence: int = 0) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, BODY)
    return pipe.getvalue()


DJI = flight("DJI_{:04d}.JPG")
FINDER = flight("Flug 3:4 Süd/DJI_{:04d}.JPG")
JAPANESE = flight("空撮{:02d}_予定表.JPG")
CARD = flight("DCIM/100MEDIA/DJI_{:04d}.JPG", "DCIM/101MEDIA/DJI_{:04d}.JPG", numbers=range(1, 7))
ROOF = flight("Dachfläche_{:02d}.JPG", numbers=range(1, 7))
RARE = ["a.jfif", "b.JFIF", "c.jpe", "d.JPE", "e.Jif", "f.HIF", "g.heif"]
M3T = "DJI_202605011230{0:02d}_{0:04d}"

UPLOADS = {
    "Finder: a folder with a colon and umlauts, UTF-8 unmarked, __MACOSX beside": Upload(
        archive_of(packed([*FINDER, *flight("__MACOSX/Flug 3:4 Süd/._DJI_{:04d}.JPG"), "Flug 3:4 Süd/.DS_Store"])),
        FINDER,
    ),
    "folders named by the time": Upload(archive_of(packed(f"2026-05-01 12:30:00/{name}" for name in DJI)), [
        f"2026-05-01 12:30:00/{name}" for name in DJI
    ]),
    "Explorer above 2 GB: Deflate64 and backslashes": Upload(
        archive_of(packed((f"DCIM\\{name}" for name in DJI), Method.DEFLATE64, system=MS_DOS)),
        [f"DCIM/{name}" for name in DJI],
    ),
    "7-Zip, WinZip: Zstandard": Upload(archive_of(packed(DJI, Method.ZSTANDARD)), DJI),
    "WinZip: XZ": Upload(archive_of(packed(DJI, Method.XZ)), DJI),
    "7-Zip: LZMA": Upload(archive_of(packed(DJI, Method.LZMA)), DJI),
    "bzip2": Upload(archive_of(packed(DJI, Method.BZIP2)), DJI),
    "one entry by Deflate64": Upload(archive_of([*packed(DJI[1:]), *packed(DJI[:1], Method.DEFLATE64)]), DJI),
    "7-Zip: PPMd": Upload(archive_of(packed(DJI, 98)), code=ErrorCode.UNSUPPORTED_ARCHIVE),
    "a password": Upload(archive_of(packed(DJI, flags=ENCRYPTED)), code=ErrorCode.ENCRYPTED_ARCHIVE),
    "WinZip's AES": Upload(archive_of(packed(DJI, 99, flags=ENCRYPTED)), code=ErrorCode.ENCRYPTED_ARCHIVE),
    "the last part of a split archive": Upload(
        archive_of(packed(DJI))[:-18] + b"\2\0\2\0" + archive_of(packed(DJI))[-14:], code=ErrorCode.UNSUPPORTED_ARCHIVE
    ),
    "a RAR": Upload(b"Rar!\x1a\7\1\0" + BODY, code=ErrorCode.NOT_A_ZIP),
    "Japanese Windows: CP932, a letter that ends in a backslash's byte": Upload(
        archive_of(packed(JAPANESE, encoding="cp932", system=MS_DOS)), JAPANESE
    ),
    "Windows of old: CP437": Upload(archive_of(packed(ROOF, encoding="cp437", system=MS_DOS)), ROOF),
    "Linux: marked UTF-8, ./ in front": Upload(archive_of(packed([f"./{name}" for name in ROOF], flags=UTF8)), ROOF),
    "RTK logs beside, one of them packed": Upload(
        archive_of(packed([*DJI, "base/ABCD.24o.gz", "Timestamp.MRK", "PPK.RINEX", "rover.nav", "rover.obs", "p.bin"])),
        DJI,
    ),
    "an archive within the archive": Upload(
        archive_of(packed([*DJI, "logs/day 1.zip"])), DJI, nested=["logs/day 1.zip"]
    ),
    "photos in an archive within the archive alone": Upload(
        archive_of(packed(["photos.zip"])), code=ErrorCode.NO_PHOTOS, nested=["photos.zip"]
    ),
    "a whole card: films, subtitles, previews, system files; one number in two folders": Upload(
        archive_of(packed([
            *CARD, "DCIM/100MEDIA/DJI_0007.MP4", "DCIM/100MEDIA/DJI_0007.SRT", "DCIM/100MEDIA/DJI_0007.LRF",
            "DCIM/100MEDIA/Thumbs.db", "MISC/THM/100/DJI_0001.THM", "DCIM/100MEDIA/desktop.ini",
        ])),
        CARD,
    ),
    "one entry twice": Upload(archive_of(packed([*DJI, DJI[0]])), DJI),
    "a self-extracting archive": Upload(b"MZ" + BODY + archive_of(packed(DJI)), DJI),
    "written to a pipe": Upload(streamed(DJI), DJI),
    "Mavic 3T: visible and thermal": Upload(
        archive_of(packed(flight(M3T + "_V.JPG", M3T + "_T.JPG"))), flight(M3T + "_V.JPG"), beside="12 thermal pictures"
    ),
    "Mavic 3T: one visible picture fewer": Upload(
        archive_of(packed(flight(M3T + "_V.JPG", M3T + "_T.JPG")[1:])),
        flight(M3T + "_V.JPG")[1:],
        beside="12 thermal pictures",
    ),
    "H20T: wide, zoom, thermal": Upload(
        archive_of(packed(flight(M3T + "_W.JPG", M3T + "_Z.JPG", M3T + "_T.JPG"))),
        flight(M3T + "_W.JPG"),
        beside="12 zoom pictures, 12 thermal pictures",
    ),
    "Mavic 3M: colour and four bands": Upload(
        archive_of(packed(flight(M3T + "_D.JPG", *(M3T + f"_MS_{band}.TIF" for band in ("G", "R", "RE", "NIR"))))),
        flight(M3T + "_D.JPG"),
        beside="48 spectral bands",
    ),
    "OpenDroneMap's masks": Upload(
        archive_of(packed(flight("FLY_{:04d}.JPG", "FLY_{:04d}_mask.JPG"))), flight("FLY_{:04d}.JPG"), beside="12 masks"
    ),
    "raw twins": Upload(
        archive_of(packed(flight("DJI_{:04d}.JPG", "DJI_{:04d}.DNG", "DJI_{:04d}.CR2"))), DJI, beside="12 other files"
    ),
    "JPEGs and HEIFs by their rarer suffixes": Upload(
        archive_of(packed(RARE)), RARE
    ),
    "a JPEG beside its HEIF and its TIFF": Upload(
        archive_of(packed(flight("IMG_{:04d}.HIF", "IMG_{:04d}.JFIF", "IMG_{:04d}.TIFF"))),
        flight("IMG_{:04d}.JFIF"),
        beside="24 other files",
    ),
    "photos of cameras that no stage develops": Upload(
        archive_of(packed(flight("P{:04d}.IIQ"))), code=ErrorCode.UNSUPPORTED_PHOTOS
    ),
    "three photos and their masks": Upload(
        archive_of(packed(flight("a{}.jpg", "a{}_mask.png", numbers=range(3)))), code=ErrorCode.TOO_FEW_PHOTOS
    ),
}  # fmt: skip


def unpacked(upload: Upload, folder: Path) -> Unpacked:
    (folder / "upload.zip").write_bytes(upload.archive)
    return unpack(folder / "upload.zip", folder / "out", WANTED[PipelineStep.FULL])


@pytest.mark.parametrize("name", [name for name in UPLOADS if UPLOADS[name].code is None])
def test_the_scene_is_made_of_the_photos_under_their_own_names(name: str, tmp_path: Path) -> None:
    upload = UPLOADS[name]
    counted = check_entries(read_entries(io.BytesIO(upload.archive)), len(upload.archive), PipelineStep.FULL)
    found = unpacked(upload, tmp_path)
    shots = by_name(path for file in found.files if is_photo(path := PurePosixPath(file.name)))
    assert sorted(map(str, photos_of(shots))) == sorted(upload.photos)
    assert counted == len(upload.photos)
    assert described(second_images(shots).values()) == upload.beside
    assert (found.nested, found.damaged) == (upload.nested, [])
    assert all(file.path.read_bytes() == BODY for file in found.files)


@pytest.mark.parametrize("name", [name for name in UPLOADS if UPLOADS[name].code is not None])
def test_what_cannot_become_a_scene_is_refused_in_seconds_by_its_code(name: str, tmp_path: Path) -> None:
    upload = UPLOADS[name]
    with pytest.raises(RejectedUpload) as caught:
        check_entries(read_entries(io.BytesIO(upload.archive)), len(upload.archive), PipelineStep.FULL)
    assert caught.value.error.code is upload.code
    # which the container counts after unpacking
    if upload.code in (ErrorCode.NO_PHOTOS, ErrorCode.UNSUPPORTED_PHOTOS, ErrorCode.TOO_FEW_PHOTOS):
        assert unpacked(upload, tmp_path).nested == upload.nested
        return
    with pytest.raises(StageError, match=f"^{upload.code}: "):
        unpacked(upload, tmp_path)
