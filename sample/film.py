"""Film the sample: a round about the house, coded by FFmpeg, with a drone's subtitles and the truth of every frame."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from math import cos, pi, radians, sin
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sample.archive import ORIGIN
from sample.camera import Camera, world_to_camera
from sample.flight import FOCUS, Lens
from sample.geodesy import Geodetic, enu_to_geodetic
from sample.terrain import Terrain

RADIUS, HEIGHT, RISE = 34.0, 22.0, 6.0  # metres: of the round, above the house's pad, and what it climbs on the way
START = radians(200.0)
BEGAN = datetime(2024, 8, 24, 14, 5, 30, tzinfo=UTC)
ASPECT = 16 / 9  # a picture's width over its height


@dataclass(frozen=True)
class Take:
    """A film to make. `turn`: share of a full round; `times`: seconds of its frames, rising."""

    width: int
    times: tuple[float, ...]
    turn: float = 1.1

    @classmethod
    def steady(cls, width: int, seconds: float, rate: float, turn: float = 1.1) -> "Take":
        """A constant frame rate."""
        return cls(width, tuple(float(k / rate) for k in range(round(seconds * rate))), turn)

    @property
    def height(self) -> int:
        return 2 * round(self.width / ASPECT / 2)


def camera_on_round(take: Take, seconds: float, terrain: Terrain, lens: Lens) -> Camera:
    """Where the camera is at a moment of the take, whether or not a frame is filmed then. 16:9 of the full width."""
    share = seconds / take.times[-1]
    base = terrain.height(*FOCUS)
    focus = np.array([*FOCUS, base + 2.0])
    angle = START + 2 * pi * take.turn * share
    centre = focus + np.array([RADIUS * sin(angle), RADIUS * cos(angle), HEIGHT + RISE * sin(2 * pi * share)])
    focal = lens.focal_pixels(take.width)
    size = take.width, take.height
    pose = world_to_camera(centre, focus - centre, np.array([0.0, 0.0, 1.0]))
    return Camera(*size, focal, focal, size[0] / 2, size[1] / 2, pose)


def write_film(
    path: Path,
    take: Take,
    pictures: Callable[[float], NDArray[np.uint8]],
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    index_first: bool = False,
) -> None:
    """Code the take's frames as an MP4, each at its own time.

    `pictures`: the pixels (H, W, 3) of a moment; `index_first`: as files on the web have it, so that one that is cut
    off can be read.
    """
    options = {"movflags": "faststart"} if index_first else {}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        container.metadata["creation_time"] = BEGAN.isoformat().replace("+00:00", "Z")
        stream = container.add_stream(codec, rate=30, options={"crf": "16", "g": "15", "preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = take.width, take.height
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = Fraction(1, 1000)
        for seconds in take.times:
            frame = av.VideoFrame.from_ndarray(pictures(seconds), format="rgb24")
            frame.pts, frame.time_base = round(1000 * seconds), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def subtitles(take: Take, positions: list[Geodetic], lens: Lens) -> str:
    """The `.SRT` that DJI's drones since 2019 write beside a film: one subtitle for each frame."""
    ends = [*take.times[1:], take.times[-1] + 0.033]
    blocks = []
    for number, (begin, end, place) in enumerate(zip(take.times, ends, positions, strict=True), start=1):
        blocks.append(
            f"{number}\n{_clock(begin)} --> {_clock(end)}\n"
            f'<font size="28">FrameCnt: {number}, DiffTime: {round(1000 * (end - begin))}ms\n'
            f"[iso: 100] [shutter: 1/1000.0] [fnum: 2.8] [ev: 0] [focal_len: {lens.focal_35mm:.2f}] "
            f"[latitude: {place.latitude:.6f}] [longitude: {place.longitude:.6f}] "
            f"[rel_alt: {place.altitude - ORIGIN.altitude:.3f} abs_alt: {place.altitude:.3f}] [ct: 5500] </font>\n"
        )
    return "\n".join(blocks)


def positions(take: Take, terrain: Terrain, lens: Lens, sigma: tuple[float, float, float], seed: int) -> list[Geodetic]:
    """Where the drone believes to be at each frame: off by one vector of `sigma` metres for the whole take, as
    receivers drift slowly."""
    drift = np.random.default_rng([seed, 3]).normal(0, 1, 3) * np.array(sigma)
    centres = [camera_on_round(take, seconds, terrain, lens).centre for seconds in take.times]
    return [enu_to_geodetic(centre + drift, ORIGIN) for centre in centres]


def _clock(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    return (
        f"{milliseconds // 3_600_000:02d}:{milliseconds // 60_000 % 60:02d}:"
        f"{milliseconds // 1000 % 60:02d},{milliseconds % 1000:03d}"
    )
