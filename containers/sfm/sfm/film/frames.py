"""Turn films into photos: look at all of them, choose, write (runs in a child process)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from contract.counts import MIN_PHOTOS
from contract.films import MAX_FILMS, RefusedFilm, check_film, clock, is_cut_off
from contract.warning_codes import WarningCode
from sfm.exif import DATE_TIME_FORMAT, FOCAL_LENGTH_35MM, Metadata, focal_in_pixels
from sfm.film.choose import Look, choose, step_for
from sfm.film.reader import UnreadableFilmError, Watched, watch, write_frames
from sfm.film.telemetry import MAX_BYTES, Telemetry, location_of, read_subtitles, telemetry_of
from sfm.native import Send
from sfm.photos import Moment, Photo
from stage.archive import DAMAGED, UnpackedFile
from stage.errors import ErrorCode, StageError
from stage.result import Warning

WATCHING_SHARE = 0.7  # of the time, the rest is writing
MISSING_SECONDS = 1.0  # between the header's length and the last frame, beyond which a film counts as cut off


@dataclass(frozen=True)
class Frames:
    """Photos from films, in the films' order, and what the customer should know of the films."""

    photos: list[Photo]
    warnings: list[Warning] = field(default_factory=list)


@dataclass(frozen=True)
class _Film:
    file: UnpackedFile
    watched: Watched
    telemetry: Telemetry


def frames_of(
    films: Sequence[UnpackedFile],
    damaged: Sequence[str],
    telemetry: Mapping[str, Path],
    folder: Path,
    threads: int,
    send: Send,
) -> Frames:
    """Write the chosen frames of all films to `folder/000001.jpg` …

    Parameters
    ----------
    films
        By the customer's names, in the order in which they were filmed.
    damaged
        Names of films that the archive could not give.
    telemetry
        Subtitle files by the film's name without its suffix, in lower case.
    send
        Gets the share of the work done, 0..1.

    Raises
    ------
    StageError
        UNREADABLE_FILM, UNSUITABLE_FILM, PANORAMA.
    """
    if len(films) > MAX_FILMS:
        raise StageError(ErrorCode.UNSUITABLE_FILM, f"{len(films)} films of at most {MAX_FILMS}")
    seen: list[_Film] = []
    notes = dict.fromkeys(damaged, DAMAGED)
    refusals: list[RefusedFilm] = []
    for number, file in enumerate(films):
        try:
            with file.path.open("rb") as stream:
                header = check_film(stream)
                cut_off = is_cut_off(stream)
            length = header.seconds or 0.0

            def watching(seconds: float, number: int = number, length: float = length) -> None:
                done = number + min(seconds / length, 1.0) if length else number
                send(WATCHING_SHARE * done / len(films))

            watched = watch(file.path, threads, watching)
        except RefusedFilm as refused:
            refusals.append(refused)
            notes[file.name] = refused.facts
            continue
        except UnreadableFilmError as error:
            notes[file.name] = str(error)
            continue
        seen.append(_Film(file, watched, _telemetry(file, watched, telemetry)))
        missing = length - watched.seconds
        if cut_off or missing > MISSING_SECONDS:
            notes[file.name] = f"it is cut off after {watched.seconds:.0f} s"
        elif watched.damaged:
            notes[file.name] = f"it is damaged in {watched.damaged} places, which are left out"
    if not seen:
        first = refusals[0] if refusals else RefusedFilm(ErrorCode.UNREADABLE_FILM, "")
        raise StageError(first.code, "; ".join(f"{name}: {note}" for name, note in notes.items()))
    photos = _write(seen, folder, threads, lambda share: send(WATCHING_SHARE + (1 - WATCHING_SHARE) * share))
    message = "; ".join(f"{name}: {note}" for name, note in notes.items())
    return Frames(photos, [Warning(WarningCode.FILM_DAMAGED, message, list(notes))] if notes else [])


def _write(films: Sequence[_Film], folder: Path, threads: int, send: Send) -> list[Photo]:
    step = step_for([film.watched.looks for film in films])
    chosen = [choose(film.watched.looks, step) for film in films]
    count = sum(len(looks) for looks in chosen)
    if count < MIN_PHOTOS:
        raise StageError(ErrorCode.UNSUITABLE_FILM, f"the camera hardly moves: {count} views differ")
    folder.mkdir(parents=True, exist_ok=True)
    photos: list[Photo] = []
    number = 0
    for film, looks in zip(films, chosen, strict=True):
        targets = [folder / f"{number + index:06d}.jpg" for index in range(1, len(looks) + 1)]

        def writing(done: int, begun: int = number) -> None:
            send((begun + done) / count)

        sizes = write_frames(film.file.path, looks, targets, threads, writing)
        number += len(looks)
        for look, target in zip(looks, targets, strict=True):
            if target in sizes:
                photos.append(_photo(film, look, target, sizes[target], first=look is looks[0]))
    return photos


def _photo(film: _Film, look: Look, path: Path, size: tuple[int, int], first: bool) -> Photo:
    width, height = size
    tags = film.watched.tags
    position = film.telemetry.position_at(look.seconds)
    if position is None and first and not film.telemetry.fixes:
        position = location_of(tags)  # where the film began, and no other frame
    equivalent = film.telemetry.focal_35mm
    details = {FOCAL_LENGTH_35MM: equivalent} if equivalent else {}
    metadata = Metadata(
        make=tags.get("com.apple.quicktime.make", tags.get("make", "")),
        model=tags.get("com.apple.quicktime.model", tags.get("model", "")),
        focal=focal_in_pixels(details, "", width, height),
        focal_tag=equivalent or 0.0,
        position=position,
        taken_at=_taken_at(tags.get("creation_time", ""), look.seconds),
    )
    return Photo(
        path.name,
        f"{film.file.name} at {clock(look.seconds)}",
        path,
        width,
        height,
        metadata,
        Moment(film.file.name, round(look.seconds, 3)),
    )


def _telemetry(file: UnpackedFile, watched: Watched, beside: Mapping[str, Path]) -> Telemetry:
    """From the file beside the film where that has places, else from within."""
    path = beside.get(stem_of(file.name))
    if path is not None:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES).decode("utf-8", "replace")
        found = telemetry_of(read_subtitles(text))
        if found.fixes:
            return found
    return telemetry_of(watched.lines)


def stem_of(name: str) -> str:
    """What a film and its telemetry have in common."""
    return str(PurePosixPath(name).with_suffix("")).lower()


def _taken_at(began: str, seconds: float) -> str:
    """EXIF's text of a moment, '' where the film does not say when it began."""
    try:
        at = datetime.datetime.fromisoformat(began.replace("Z", "+00:00")) + datetime.timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return ""
    return at.strftime(DATE_TIME_FORMAT)
