"""Read films with FFmpeg's libraries (PyAV), frame by frame: a first pass looks, a second one writes what was chosen.

Streams are read packet by packet, so that damaged ones are passed over and a film that is cut off gives what it has.
Rotation, variable frame rates (by presentation times), 10 bits and colour matrices are FFmpeg's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from sfm.film.choose import Look
from sfm.film.motion import LOOK_LONG_SIDE, MotionMeter, sharpness

LOOKS_PER_SECOND = 12.0
# seconds to the next wanted frame beyond which it is quicker to seek: cameras write a whole picture every second or two
SEEK_BEYOND = 3.0
HD_LINES = 720  # from here on pictures without a colour matrix are BT.709, below it BT.601
UNSPECIFIED = 2  # of AVColorSpace
JPEG_QUALITY = 95


class UnreadableFilmError(Exception):
    """FFmpeg cannot open the file, or finds no picture in it."""


@dataclass(frozen=True)
class Watched:
    """What one pass over a film gives. `lines`: (seconds, text) of subtitles within it; `tags`: of the container;
    `seconds`: of the last frame read; `damaged`: parts that could not be decoded."""

    looks: list[Look]
    lines: list[tuple[float, str]]
    tags: dict[str, str]
    seconds: float
    damaged: int


def watch(path: Path, threads: int, progress: Callable[[float], None]) -> Watched:
    """Look at a film. `progress` gets seconds done and may raise to stop. Raises UnreadableFilmError."""
    looks: list[Look] = []
    lines: list[tuple[float, str]] = []
    meter, due, last = MotionMeter(), 0.0, 0.0
    with _opened(path) as container:
        video = _pictures(container, threads)
        if (video.average_rate or 0) >= 2 * LOOKS_PER_SECOND:
            # frames that others are predicted from are coded best, and the rest need not be decoded
            video.codec_context.skip_frame = "NONREF"
        reading = _Reading(container, video)
        for item in reading.items(subtitles=True):
            if isinstance(item, VideoFrame):
                last = max(last, _seconds(item, video))
                if last < due or item.pts is None:
                    continue
                grey = _small_grey(item)
                looks.append(Look(item.pts, _seconds(item, video), meter.moved(grey), sharpness(grey)))
                due = last + 1 / LOOKS_PER_SECOND
                progress(last)
            else:
                lines.append(item)
        tags = {key.lower(): value for key, value in container.metadata.items()}
    if not looks:
        raise UnreadableFilmError("none of its pictures can be decoded")
    return Watched(looks, lines, tags, last, reading.damaged)


def write_frames(
    path: Path, looks: Sequence[Look], targets: Sequence[Path], threads: int, progress: Callable[[int], None]
) -> dict[Path, tuple[int, int]]:
    """Write each look's frame, upright, as a JPEG; returns width and height of those written. `progress` gets how many
    are done."""
    written: dict[Path, tuple[int, int]] = {}
    with _opened(path) as container:
        video = _pictures(container, threads)
        reading = _Reading(container, video)
        frames = reading.items()
        at = 0.0
        for done, (look, target) in enumerate(zip(looks, targets, strict=True), start=1):
            if look.seconds - at > SEEK_BEYOND:
                container.seek(look.stamp, stream=video, backward=True)
                frames = reading.items()
            for frame in frames:
                if isinstance(frame, VideoFrame) and frame.pts is not None and frame.pts >= look.stamp:
                    if frame.pts == look.stamp:
                        picture = _upright(frame)
                        picture.save(target, "JPEG", quality=JPEG_QUALITY)
                        written[target] = picture.size
                    break
            at = look.seconds
            progress(done)
    return written


class _Reading:
    """Frames and subtitles of an open film; damaged packets are counted and passed over."""

    def __init__(self, container: av.container.InputContainer, video: VideoStream) -> None:
        self._container, self._video = container, video
        self.damaged = 0

    def items(self, subtitles: bool = False) -> Iterator[VideoFrame | tuple[float, str]]:
        streams = [self._video, *(self._container.streams.subtitles if subtitles else ())]
        packets = self._container.demux(streams)
        while True:
            try:
                packet = next(packets)
                if packet.stream.type == "subtitle":
                    if packet.pts is not None and packet.size:
                        yield float(packet.pts * packet.time_base), _text(bytes(packet))
                    continue
                decoded = packet.decode()
            except (StopIteration, av.error.EOFError):
                return
            except av.error.InvalidDataError:
                self.damaged += 1
                continue
            for frame in decoded:
                if isinstance(frame, VideoFrame):
                    yield frame


def _opened(path: Path) -> av.container.InputContainer:
    try:
        # as MP4 alone: FFmpeg also reads play lists, which name other files and addresses
        return av.open(str(path), format="mov", metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnreadableFilmError("its beginning or its index is damaged") from error


def _pictures(container: av.container.InputContainer, threads: int) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise UnreadableFilmError("it contains no pictures")
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads
    return stream


def _seconds(frame: VideoFrame, stream: VideoStream) -> float:
    return float(((frame.pts or 0) - (stream.start_time or 0)) * (stream.time_base or 0))


def _text(packet: bytes) -> str:
    """3GPP timed text (TS 26.245): two bytes of length, then UTF-8."""
    length = int.from_bytes(packet[:2], "big")
    return packet[2 : 2 + length].decode("utf-8", "replace")


def _small_grey(frame: VideoFrame) -> NDArray[np.uint8]:
    scale = min(LOOK_LONG_SIDE / max(frame.width, frame.height), 1.0)
    size = {"width": max(round(frame.width * scale), 1), "height": max(round(frame.height * scale), 1)}
    return np.asarray(frame.reformat(**size, format="gray", interpolation="AREA").to_ndarray(), dtype=np.uint8)


def _upright(frame: VideoFrame) -> Image.Image:
    assumed = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
    source = assumed if frame.colorspace == UNSPECIFIED else None
    pixels = frame.reformat(format="rgb24", src_colorspace=source).to_ndarray()
    return Image.fromarray(np.rot90(pixels, round(frame.rotation / 90)))
