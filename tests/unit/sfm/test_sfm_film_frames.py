"""Frames of real films: chosen, upright, in true colours, in every coding, and from truncated films."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from PIL import Image

from contract.codes import ErrorCode
from contract.warning_codes import WarningCode
from sample.film import Take, subtitles, write_film
from sample.flight import Lens
from sample.geodesy import Geodetic
from sfm.film.frames import WATCHING_SHARE, Frames, frames_of
from stage.archive import UnpackedFile
from stage.errors import StageError
from tests.support.films import PIXELS_PER_SECOND, WIDTH, Pan, marked_spherical, small_film, turn

# font settings that FFmpeg's encoder of timed text needs (Advanced SubStation Alpha)
SUBTITLE_HEADER = b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n\n[Events]\n"


def frames(
    folder: Path, *names: str, telemetry: dict[str, Path] | None = None, damaged: tuple[str, ...] = ()
) -> Frames:
    films = [UnpackedFile(name, folder / name) for name in names]
    return frames_of(films, damaged, telemetry or {}, folder / "photos", 1, lambda _share: None)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.float64)


@pytest.mark.parametrize(
    ("codec", "pixel_format"), [("libx264", "yuv420p"), ("libx265", "yuv420p10le")], ids=["H.264", "HEVC in 10 bits"]
)
def test_frames_are_those_of_their_moments(tmp_path: Path, codec: str, pixel_format: str) -> None:
    take = small_film(tmp_path / "film.mp4", codec=codec, pixel_format=pixel_format)
    found = frames(tmp_path, "film.mp4")
    assert found.warnings == []
    assert len(found.photos) >= 8
    pan = Pan(take)
    for photo in found.photos:
        assert photo.moment is not None
        assert (photo.width, photo.height) == (take.width, take.height)
        truth = pan(photo.moment.seconds).astype(np.float64)
        assert np.abs(pixels(photo.path) - truth).mean() < 12
        other = pan(photo.moment.seconds + 0.3).astype(np.float64)
        assert np.abs(pixels(photo.path) - other).mean() > 20


def test_frames_are_even_in_the_way_that_the_picture_moved(tmp_path: Path) -> None:
    """Frames come at uneven rates (25 or 7 per second) from a camera that moves at an even speed."""
    times = [k / 25 for k in range(50)] + [2 + k / 7 for k in range(21)]
    take = Take(WIDTH, tuple(round(1000 * seconds) / 1000 for seconds in times))
    write_film(tmp_path / "film.mp4", take, Pan(take))
    moments = [photo.moment.seconds for photo in frames(tmp_path, "film.mp4").photos if photo.moment]
    gaps = PIXELS_PER_SECOND * np.diff(moments) / np.hypot(take.width, take.height)
    assert set(moments) <= set(take.times)
    assert np.median(gaps) == pytest.approx(0.03, abs=0.012)
    assert gaps.max() < 0.09


def test_progress_is_sent_while_films_are_watched_and_frames_written(tmp_path: Path) -> None:
    """With two films, reading is half done after the first; a long film must not look like one that hangs."""
    sent: list[float] = []
    for name in ("a.mp4", "b.mp4"):
        small_film(tmp_path / name)
    films = [UnpackedFile(name, tmp_path / name) for name in ("a.mp4", "b.mp4")]
    frames_of(films, (), {}, tmp_path / "photos", 1, sent.append)
    assert sent == sorted(sent)
    assert sent[-1] == pytest.approx(1.0)
    watched = [share for share in sent if share <= WATCHING_SHARE]
    assert len(watched) >= 8
    assert np.diff([0.0, *watched]).max() < WATCHING_SHARE / 4
    assert len(sent) > len(watched) + 8


def test_a_blurred_frame_gives_way_to_a_sharp_neighbour(tmp_path: Path) -> None:
    take = Take.steady(WIDTH, 4, 12)
    blurred = frozenset(take.times[::2])
    write_film(tmp_path / "film.mp4", take, Pan(take, speed=40, blurred=blurred))
    moments = [photo.moment.seconds for photo in frames(tmp_path, "film.mp4").photos if photo.moment]
    nearest = [min(take.times, key=lambda time: abs(time - moment)) for moment in moments]
    assert sum(time in blurred for time in nearest) <= len(moments) // 5


def test_a_film_made_upright_gives_upright_photos(tmp_path: Path) -> None:
    take = small_film(tmp_path / "flat.mp4")
    (tmp_path / "film.mp4").write_bytes(turn((tmp_path / "flat.mp4").read_bytes()))
    photo = frames(tmp_path, "film.mp4").photos[0]
    assert photo.moment is not None
    assert (photo.width, photo.height) == (take.height, take.width)
    truth = np.rot90(Pan(take)(photo.moment.seconds), -1).astype(np.float64)
    assert np.abs(pixels(photo.path) - truth).mean() < 12


def test_a_film_that_is_cut_off_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    small_film(tmp_path / "whole.mp4", index_first=True)
    body = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "film.mp4").write_bytes(body[: len(body) * 6 // 10])
    found = frames(tmp_path, "film.mp4")
    assert [warning.code for warning in found.warnings] == [WarningCode.FILM_DAMAGED]
    assert found.warnings[0].names == ["film.mp4"]
    moments = [photo.moment.seconds for photo in found.photos if photo.moment]
    assert 1.5 < max(moments) < 3.0


def test_damaged_parts_are_passed_over(tmp_path: Path) -> None:
    small_film(tmp_path / "whole.mp4")
    body = bytearray((tmp_path / "whole.mp4").read_bytes())
    pictures = body.index(b"mdat")
    middle = pictures + (body.index(b"moov") - pictures) // 2
    body[middle : middle + 6000] = bytes(6000)
    (tmp_path / "film.mp4").write_bytes(body)
    moments = [photo.moment.seconds for photo in frames(tmp_path, "film.mp4").photos if photo.moment]
    assert min(moments) < 1.0
    assert max(moments) > 3.0


def test_places_and_lens_come_from_the_subtitles_beside_the_film(tmp_path: Path) -> None:
    take = small_film(tmp_path / "DJI_0001.MP4")
    places = [Geodetic(47.0 + 1e-5 * k, 8.0, 500.0) for k in range(len(take.times))]
    (tmp_path / "DJI_0001.SRT").write_text(subtitles(take, places, Lens()))
    found = frames(tmp_path, "DJI_0001.MP4", telemetry={"dji_0001": tmp_path / "DJI_0001.SRT"})
    for photo in found.photos:
        assert photo.moment is not None
        assert photo.metadata.position is not None
        assert photo.metadata.position.latitude == pytest.approx(47.0 + 1e-4 * photo.moment.seconds, abs=2e-6)
        assert photo.metadata.focal == pytest.approx(Lens().focal_pixels(take.width), rel=0.01)
        assert photo.metadata.taken_at.startswith("2024:08:24 14:05:3")


def test_places_come_from_subtitles_within_the_film(tmp_path: Path) -> None:
    take = small_film(tmp_path / "plain.mp4")
    with av.open(str(tmp_path / "plain.mp4")) as source, av.open(str(tmp_path / "film.mp4"), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        text = target.add_stream("mov_text")
        assert isinstance(text, SubtitleStream)
        text.codec_context.subtitle_header = SUBTITLE_HEADER
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        for second in range(4):
            line = f"F/2.8, SS 640.0, GPS (8.5306, {47.0 + 1e-4 * second:.4f}, 17), H 36.20m".encode()
            said: av.Packet[Stream] = av.Packet(struct.pack(">H", len(line)) + line)
            said.stream, said.time_base = text, Fraction(1, 1000)
            said.pts = said.dts = 1000 * second
            said.duration = 1000
            target.mux(said)
    located = [photo.metadata.position for photo in frames(tmp_path, "film.mp4").photos]
    assert all(position is not None for position in located)
    assert len(take.times) == 40


def test_without_telemetry_the_first_frame_alone_has_the_films_place(tmp_path: Path) -> None:
    small_film(tmp_path / "plain.mp4")
    assert all(photo.metadata.position is None for photo in frames(tmp_path, "plain.mp4").photos)
    with (
        av.open(str(tmp_path / "plain.mp4")) as source,
        av.open(str(tmp_path / "film.mp4"), "w", options={"movflags": "use_metadata_tags"}) as target,
    ):
        target.metadata["location"] = "+47.3612+008.5306/"
        video = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
    located = [photo.metadata.position is not None for photo in frames(tmp_path, "film.mp4").photos]
    assert located == [True] + [False] * (len(located) - 1)


def test_films_are_joined_in_order_and_numbered_on(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        small_film(tmp_path / name)
    found = frames(tmp_path, "a.mp4", "b.mp4")
    assert [photo.name for photo in found.photos] == [f"{k:06d}.jpg" for k in range(1, len(found.photos) + 1)]
    films = [photo.moment.film for photo in found.photos if photo.moment]
    assert films == sorted(films)
    assert set(films) == {"a.mp4", "b.mp4"}


def test_one_bad_film_among_good_ones_is_left_out_and_named(tmp_path: Path) -> None:
    small_film(tmp_path / "good.mp4")
    (tmp_path / "bad.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(5000))
    found = frames(tmp_path, "bad.mp4", "good.mp4", damaged=("torn.mp4",))
    assert {photo.moment.film for photo in found.photos if photo.moment} == {"good.mp4"}
    assert found.warnings[0].names == ["torn.mp4", "bad.mp4"]


def refusal(folder: Path, body: bytes) -> StageError:
    (folder / "film.mp4").write_bytes(body)
    with pytest.raises(StageError) as caught:
        frames(folder, "film.mp4")
    return caught.value


def test_films_of_which_no_scene_can_be_made_are_refused_by_code(tmp_path: Path) -> None:
    small_film(tmp_path / "plain.mp4")
    good = (tmp_path / "plain.mp4").read_bytes()
    assert refusal(tmp_path, good[: len(good) // 2]).code is ErrorCode.UNREADABLE_FILM
    assert refusal(tmp_path, marked_spherical(good)).code is ErrorCode.PANORAMA
    take = Take.steady(WIDTH, 4, 10)
    still = io.BytesIO()
    write_film(tmp_path / "still.mp4", take, Pan(take, speed=0))
    still.write((tmp_path / "still.mp4").read_bytes())
    hovering = refusal(tmp_path, still.getvalue())
    assert hovering.code is ErrorCode.UNSUITABLE_FILM
    assert "hardly moves" in hovering.message
