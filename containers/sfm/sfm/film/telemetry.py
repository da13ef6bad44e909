"""Places along a film, from what drones write beside or into it. Pure.

DJI writes subtitles, in three forms seen on drones of 2015 to 2024 (collected by
https://github.com/JuanIrache/DJI_SRT_Parser): `GPS(8.5306,47.3612,17) BAROMETER:36.2` (longitude first; once a second),
`F/2.8, SS 640.0, GPS (8.5306, 47.3612, 17), H 36.20m` (within the film) and `[latitude: 47.361200]
[longitude: 8.530600] [rel_alt: 36.200 abs_alt: 548.100]` (for each frame; older firmware: `longtitude`, `altitude`).
The third number of GPS(…) is a count of satellites on some drones and an altitude on others, so it is not used. Phones
write one place for the whole film (ISO 6709).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sfm.position import GeoPosition, plausible_altitude, plausible_place

MAX_BYTES = 64 << 20
MAX_GAP_SECONDS = 3.0  # between two fixes, beyond which a place between them is a guess
PLAUSIBLE_FOCAL_35MM = (10.0, 400.0)

_TIMES = re.compile(r"(\d+):(\d{2}):(\d{2})[,.](\d{1,3})\s*-->")
_NUMBER = r"([+-]?\d+(?:\.\d+)?)"
_OLD = re.compile(rf"GPS\s*\(\s*{_NUMBER}\s*,\s*{_NUMBER}", re.I)
_LATITUDE = re.compile(rf"\[\s*latitude\s*:\s*{_NUMBER}", re.I)
_LONGITUDE = re.compile(rf"\[\s*longt?itude\s*:\s*{_NUMBER}", re.I)
_ALTITUDE = re.compile(rf"(?:abs_alt|\[\s*altitude)\s*:\s*{_NUMBER}", re.I)
_FOCAL = re.compile(rf"focal_len\s*:\s*{_NUMBER}", re.I)
_ISO_6709 = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)([+-]\d+(?:\.\d+)?)?")


@dataclass(frozen=True)
class Fix:
    """A place at `seconds` from the film's beginning."""

    seconds: float
    position: GeoPosition


@dataclass(frozen=True)
class Telemetry:
    """Fixes in order of time, and the lens's 35 mm equivalent, if it is said."""

    fixes: tuple[Fix, ...] = ()
    focal_35mm: float | None = None

    def position_at(self, seconds: float) -> GeoPosition | None:
        """Between fixes by a straight line, since the drone flies on between them; None where there is no fix near."""
        if not self.fixes:
            return None
        times = [fix.seconds for fix in self.fixes]
        after = int(np.searchsorted(times, seconds))
        near = self.fixes[max(after - 1, 0)], self.fixes[min(after, len(times) - 1)]
        before, behind = near
        gap = behind.seconds - before.seconds
        outside = max(before.seconds - seconds, seconds - behind.seconds, 0.0)
        if gap > MAX_GAP_SECONDS or outside > MAX_GAP_SECONDS / 2:
            return None
        share = min(max((seconds - before.seconds) / gap, 0.0), 1.0) if gap > 0 else 0.0
        return _between(before.position, behind.position, share)


def read_subtitles(text: str) -> list[tuple[float, str]]:
    """(seconds, text) of each subtitle of an `.SRT` file."""
    found: list[tuple[float, str]] = []
    starts = list(_TIMES.finditer(text))
    for index, start in enumerate(starts):
        hours, minutes, seconds = (int(part) for part in start.groups()[:3])
        fraction = int(start.group(4).ljust(3, "0")) / 1000
        end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
        found.append((hours * 3600 + minutes * 60 + seconds + fraction, text[start.end() : end]))
    return found


def telemetry_of(lines: Iterable[tuple[float, str]]) -> Telemetry:
    """What subtitles say; what is malformed, out of range or without a fix is passed over."""
    fixes: list[Fix] = []
    focals: list[float] = []
    for seconds, text in sorted(lines):
        focal = _number(_FOCAL, text)
        if focal is not None:
            focal = focal / 10 if focal >= 100 else focal  # tenths of a millimetre, in some firmware
            focals += [focal] if PLAUSIBLE_FOCAL_35MM[0] <= focal <= PLAUSIBLE_FOCAL_35MM[1] else []
        position = _position(text)
        if position is not None:
            fixes.append(Fix(seconds, position))
    return Telemetry(_changes(fixes), float(np.median(focals)) if focals else None)


def location_of(tags: dict[str, str]) -> GeoPosition | None:
    """The one place of a film, from its container's tags: `+47.3612+008.5306+512.000/`."""
    for name in ("com.apple.quicktime.location.iso6709", "location", "location-eng"):
        found = _ISO_6709.match(tags.get(name, ""))
        if found:
            altitude = float(found.group(3)) if found.group(3) else None
            return _checked(float(found.group(1)), float(found.group(2)), altitude)
    return None


def _changes(fixes: Sequence[Fix]) -> tuple[Fix, ...]:
    """The first fix of each place, and the last of all: receivers write several lines between two measurements."""
    kept: list[Fix] = []
    for fix in fixes:
        if kept and fix.seconds <= kept[-1].seconds:
            continue
        if not kept or fix.position != kept[-1].position or fix.seconds - kept[-1].seconds > MAX_GAP_SECONDS / 2:
            kept.append(fix)
    return tuple(kept)


def _position(text: str) -> GeoPosition | None:
    latitude, longitude = _number(_LATITUDE, text), _number(_LONGITUDE, text)
    if latitude is not None and longitude is not None:
        return _checked(latitude, longitude, _number(_ALTITUDE, text))
    old = _OLD.search(text)
    return _checked(float(old.group(2)), float(old.group(1)), None) if old else None


def _checked(latitude: float, longitude: float, altitude: float | None) -> GeoPosition | None:
    place = plausible_place(latitude, longitude)
    return None if place is None else GeoPosition(*place, plausible_altitude(altitude))


def _between(first: GeoPosition, second: GeoPosition, share: float) -> GeoPosition:
    def mixed(a: float, b: float) -> float:
        return a + share * (b - a)

    altitude = None
    if first.altitude is not None and second.altitude is not None:
        altitude = mixed(first.altitude, second.altitude)
    turn = (second.longitude - first.longitude + 180) % 360 - 180  # the short way round
    longitude = first.longitude + share * turn
    if abs(longitude) > 180:
        longitude -= 360 if longitude > 0 else -360
    return GeoPosition(mixed(first.latitude, second.latitude), longitude, altitude)


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return float(found.group(1)) if found else None
