"""Write the report's section on films: which seconds of them are in the scene."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from contract.films import clock
from deliver.report import PhotoLine

_WIDTH, _HEIGHT = 1000, 14  # of a film's strip, in SVG units


def films_section(lines: Sequence[PhotoLine]) -> str:
    """For each film, a strip with a mark for every frame, and the times that are not in the scene; empty if there are
    no frames of films.
    """
    films: dict[str, list[PhotoLine]] = {}
    for line in lines:
        if line.film is not None:
            films.setdefault(line.film, []).append(line)
    return "".join(_film(name, sorted(frames, key=_seconds)) for name, frames in films.items())


def gaps(frames: Sequence[PhotoLine]) -> list[tuple[float, float]]:
    """First and last second of each run of `frames` (sorted by time) that are not in the scene."""
    runs = ((used, list(run)) for used, run in groupby(frames, key=lambda frame: frame.used))
    return [(_seconds(run[0]), _seconds(run[-1])) for used, run in runs if not used]


def _film(name: str, frames: Sequence[PhotoLine]) -> str:
    used = [frame for frame in frames if frame.used]
    text = f"<strong>{escape(name)}</strong>: {len(used)} of {len(frames)} frames extracted from it are in the scene"
    if used:
        text += f", from {clock(_seconds(used[0]))} to {clock(_seconds(used[-1]))}"
    missing = ", ".join(f"{clock(first)} to {clock(last)}" for first, last in gaps(frames))
    text += f". Not placed: {missing}." if missing else "."
    return f"<p>{text}</p>{_strip(frames)}"


def _strip(frames: Sequence[PhotoLine]) -> str:
    end = _seconds(frames[-1]) or 1.0
    marks = "".join(
        f'<rect x="{_seconds(frame) / end * (_WIDTH - 3):.1f}" y="0" width="3" height="{_HEIGHT}" '
        f'fill="currentColor" opacity="{1 if frame.used else 0.25}"/>'
        for frame in frames
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" height="{_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="frames along the film; pale ones are not in the scene">{marks}</svg>'
    )


def _seconds(frame: PhotoLine) -> float:
    return frame.seconds or 0.0
