"""Which pictures of an upload are photos, and which are second images of the same shots: thermal ones, bands, masks.

Preflight knows names alone; structure from motion adds what the files say (containers/sfm/sfm/content.py). The names
are those that cameras and tools give: DJI's `_T`, `_W`, `_Z`, `_V` and `_MS_NIR`, Autel's `IRX_0001`, MicaSense's
`IMG_0001_3.tif`, OpenDroneMap's `_mask`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TypeVar

from contract.archive import PHOTO_SUFFIXES, RAW_SUFFIXES, TIFF_SUFFIXES
from contract.counts import MIN_PHOTOS

Key = TypeVar("Key")


class Kind(StrEnum):
    """What a picture is. Colour, zoom, band and thermal pictures each make a scene where there are no better ones."""

    COLOUR = "colour"
    ZOOM = "zoom"
    BAND = "band"
    THERMAL = "thermal"
    MASK = "mask"
    PREVIEW = "preview"
    PANORAMA = "panorama"
    TWIN = "twin"


# why a picture that is not used as a photo is not, for the customer
REASONS = {
    Kind.COLOUR: "is a colour picture, and there are too few of them for a scene",
    Kind.ZOOM: "is the zoom lens's picture of a shot that the wide lens took too",
    Kind.THERMAL: "is the thermal picture of a shot",
    Kind.MASK: "is a mask, not a photo",
    Kind.PREVIEW: "is a small preview of a photo",
    Kind.PANORAMA: "is a stitched panorama",
}


@dataclass(frozen=True)
class Shot:
    """What a picture is. `band`: which one, of a band; `of`: the photo that a mask, preview or twin belongs to."""

    kind: Kind
    band: str = ""
    of: PurePosixPath | None = None

    @property
    def reason(self) -> str:
        """Why the picture is not used as a photo, for the customer."""
        if self.kind is Kind.BAND:
            return f"is the {self.band} band of a shot" if self.band else "is grey, like a spectral band"
        return f"same shot as {self.of}" if self.kind is Kind.TWIN else REASONS[self.kind]


COLOUR = Shot(Kind.COLOUR)

_RAW_FOLDERS = {"raw", "dng"}
# DJI_20260501123000_0001_T or DJI_0001_T, then perhaps a waypoint's name; MS_ begins the bands of a Mavic 3M
_DJI = re.compile(r"(?P<shot>DJI_(\d{8,14}_)?\d{4})_(?P<tag>MS_[A-Z]+|[A-Z]+)(_.*)?", re.I)
_TAGGED = re.compile(r"(?P<shot>.+?)[_.\-](?P<tag>[A-Za-z]+)")
_THERMAL_TAGS = {"T", "THRM", "THERMAL", "IR", "TIR", "LWIR", "INFRARED"}
_ZOOM_TAGS = {"Z", "ZOOM", "TELE"}
_WIDE_TAGS = {"W", "WIDE"}
_COLOUR_TAGS = _WIDE_TAGS | {"V", "VIS", "VISIBLE", "RGB", "D", ""}
_BAND_TAGS = {
    **dict.fromkeys(("B", "BLU", "BLUE"), "blue"),
    **dict.fromkeys(("G", "GRE", "GREEN"), "green"),
    **dict.fromkeys(("R", "RED"), "red"),
    **dict.fromkeys(("RE", "REG", "REDEDGE"), "red edge"),
    **dict.fromkeys(("NIR",), "near infrared"),
    **dict.fromkeys(("PAN", "PANCHRO"), "panchromatic"),
}
_PREFIX = re.compile(r"(?P<tag>IRX|IR|THM|FLIR)_(?P<shot>.+)", re.I)
_COLOUR_PREFIXES = ("MAX_", "RGB_", "VIS_", "DJI_", "IMG_")
_NUMBERED_BAND = re.compile(r"(?P<shot>.*\d{3,4})_(?P<band>[1-9]|10)")  # MicaSense: IMG_0001_3
_LAST_DIGIT = re.compile(r"(?P<shot>DJI_\d{3})(?P<band>[1-5])", re.I)  # Phantom 4: DJI_0010.JPG to DJI_0015.TIF
_MICASENSE = {"1": "blue", "2": "green", "3": "red", "4": "near infrared", "5": "red edge"}
_PHANTOM = {"1": "blue", "2": "green", "3": "red", "4": "red edge", "5": "near infrared"}
# the band that a scene is made of where there is no colour: features are found best in the visible ones
_BEST_BANDS = ("panchromatic", "green", "red", "blue", "red edge", "near infrared")
_SCENES = (Kind.COLOUR, Kind.ZOOM, Kind.BAND, Kind.THERMAL, Kind.PANORAMA)  # what a scene can be made of, best first
_MASK_FOLDERS = {"mask", "masks"}
_MASK_NAME = re.compile(r"(?P<photo>.+?)[_.\-]masks?", re.I)
_PREVIEW_FOLDERS = {"thumb", "thumbs", "thm", "thumbnail", "thumbnails", "preview", "previews", ".thumbnails"}
_PREVIEW_NAME = re.compile(r"(?P<photo>.+?)[_.\-](thumb|thumbnail|preview|thm)", re.I)
_PANORAMA_NAME = re.compile(r"(pano|panorama)[_\-]?\d*|.+[_\-](pano|panorama)", re.I)
_THERMAL_FOLDERS = {"thermal", "infrared", "tir", "lwir", "radiometric"}


def by_name(paths: Iterable[PurePosixPath]) -> dict[PurePosixPath, Shot]:
    """What each picture of an upload is, as far as the names of all of them say it."""
    every = list(paths)
    found = _beside_photos(every)
    rest = [path for path in every if path not in found]
    for rule in (_thermal, _bands, _zoom, _panoramas):
        found.update(rule(rest))
        rest = [path for path in rest if path not in found]
    return {path: found.get(path, COLOUR) for path in every}


def photos_of(shots: Mapping[Key, Shot]) -> list[Key]:
    """The pictures that a scene is made of, in the order given: those in colour, where these are enough for a job.

    Otherwise the zoom lens's, one spectral band, the thermal ones or panoramas: the first of these that are enough, or
    the most.
    """
    groups: dict[tuple[Kind, str], list[Key]] = {(Kind.COLOUR, ""): []}
    for key, shot in shots.items():
        if shot.kind in _SCENES:
            groups.setdefault((shot.kind, shot.band), []).append(key)
    ranked = [keys for _, keys in sorted(groups.items(), key=lambda item: _rank(item[0], len(item[1])))]
    return next((keys for keys in ranked if len(keys) >= MIN_PHOTOS), max(ranked, key=len))


def second_images(shots: Mapping[Key, Shot]) -> dict[Key, Shot]:
    """The pictures that the scene is not made of."""
    photos = set(photos_of(shots))
    return {key: shot for key, shot in shots.items() if key not in photos}


def described(shots: Iterable[Shot]) -> str:
    """How many there are of each kind, for the customer: `7 thermal pictures, 20 spectral bands`."""
    names = {
        Kind.COLOUR: "colour picture",
        Kind.ZOOM: "zoom picture",
        Kind.BAND: "spectral band",
        Kind.THERMAL: "thermal picture",
        Kind.MASK: "mask",
        Kind.PREVIEW: "preview",
        Kind.PANORAMA: "panorama",
        Kind.TWIN: "other file",
    }
    counts = Counter(shot.kind for shot in shots)
    return ", ".join(f"{counts[kind]} {name}{'s' * (counts[kind] > 1)}" for kind, name in names.items() if counts[kind])


def _rank(group: tuple[Kind, str], count: int) -> tuple[int, int, int]:
    kind, band = group
    best = _BEST_BANDS.index(band) if band in _BEST_BANDS else len(_BEST_BANDS)
    return _SCENES.index(kind), -count, best


def _stem(path: PurePosixPath) -> str:
    return path.stem.lower()


def _beside_photos(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, Shot]:
    """Masks, previews and twins, by the photo that they are named after."""
    candidates: dict[PurePosixPath, tuple[Kind, str]] = {}
    for path in paths:
        folders = {part.lower() for part in path.parts[:-1]}
        if folders & _MASK_FOLDERS:
            named = _MASK_NAME.fullmatch(path.stem)
            candidates[path] = (Kind.MASK, named["photo"] if named else path.stem)
        elif named := _MASK_NAME.fullmatch(path.stem):
            candidates[path] = (Kind.MASK, named["photo"])
        elif folders & _PREVIEW_FOLDERS:
            candidates[path] = (Kind.PREVIEW, path.stem)
        elif named := _PREVIEW_NAME.fullmatch(path.stem):
            candidates[path] = (Kind.PREVIEW, named["photo"])
    candidates |= _twins([path for path in paths if path not in candidates])
    index = _Index([path for path in paths if path not in candidates])
    found = {
        path: Shot(kind, of=photo)
        for path, (kind, named) in candidates.items()
        if (photo := index.photo(path, named)) is not None
    }
    # once one is a mask, the others are: of photos that are not in the archive
    if any(shot.kind is Kind.MASK for shot in found.values()):
        for path, (kind, _) in candidates.items():
            if kind is Kind.MASK:
                found.setdefault(path, Shot(kind))
    return found


def _twins(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, tuple[Kind, str]]:
    """Files of one shot in a folder but the best of them; raw files in a folder of their own."""
    shots: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = defaultdict(list)
    for path in paths:
        if path.suffix.lower() in PHOTO_SUFFIXES:
            apart = path.suffix.lower() in RAW_SUFFIXES and path.parent.name.lower() in _RAW_FOLDERS
            shots[path.parent.parent if apart else path.parent, _stem(path)].append(path)
    found: dict[PurePosixPath, tuple[Kind, str]] = {}
    for files in shots.values():
        best = min(files, key=lambda path: PHOTO_SUFFIXES.index(path.suffix.lower()))
        others = [path for path in files if path.suffix.lower() != best.suffix.lower()]
        found.update(dict.fromkeys(others, (Kind.TWIN, best.name)))
    return found


class _Index:
    """Finds the photo that another file is named after: in the same folder, beside its folder, else the only one.

    Thousands of folders may hold a photo of one name, and as many others a file that is named after it: what is looked
    through is the folders above a file, and not the photos.
    """

    def __init__(self, photos: Sequence[PurePosixPath]) -> None:
        self._photos: dict[str, list[PurePosixPath]] = defaultdict(list)
        self._in: dict[tuple[str, PurePosixPath], list[PurePosixPath]] = defaultdict(list)
        self._below: dict[tuple[str, PurePosixPath], list[PurePosixPath]] = defaultdict(list)
        for photo in photos:
            for name in (_stem(photo), photo.name.lower()):
                self._photos[name].append(photo)
                self._in[name, photo.parent].append(photo)
                self._below[name, photo.parent.parent].append(photo)

    def photo(self, path: PurePosixPath, named: str) -> PurePosixPath | None:
        name = named.lower()
        if name not in self._photos:
            return None
        for folder in (path.parent, path.parent.parent):
            if close := self._in.get((name, folder)):
                return close[0]
        near: set[PurePosixPath] = set()
        for folder in path.parents:
            for index in (self._in, self._below):
                near.update(index.get((name, folder), [])[:2])  # more than one is too many
        return next((next(iter(some)) for some in (near, self._photos[name]) if len(some) == 1), None)


def _thermal(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, Shot]:
    """By DJI's own names; by a tag or prefix that others lack, once a colour picture of one such shot is there."""
    thermal = Shot(Kind.THERMAL)
    found: dict[PurePosixPath, Shot] = {}
    colour = {(path.parent, stem) for path in paths for stem in _colour_stems(path)}
    tagged, confirmed = [], False
    for path in paths:
        folders = {part.lower() for part in path.parts[:-1]}
        named = _DJI.fullmatch(path.stem)
        if folders & _THERMAL_FOLDERS or (named and _is_djis_thermal(named["tag"].upper(), path.suffix.lower())):
            found[path] = thermal
            continue
        other = _TAGGED.fullmatch(path.stem)
        if other is None or other["tag"].upper() not in _THERMAL_TAGS:
            other = _PREFIX.fullmatch(path.stem)
        if other:
            tagged.append(path)
            confirmed |= (path.parent, other["shot"].lower()) in colour
    return found | (dict.fromkeys(tagged, thermal) if confirmed else {})


def _is_djis_thermal(tag: str, suffix: str) -> bool:
    """`_R` is the radiometric JPEG of an XT2; of a TIFF it is the red band."""
    return tag in _THERMAL_TAGS or (tag == "R" and suffix not in TIFF_SUFFIXES)


def _colour_stems(path: PurePosixPath) -> Iterator[str]:
    """What the stem of another picture of the same shot may be, in lower case, if this one is in colour."""
    stem = _stem(path)
    yield stem
    if (tagged := _TAGGED.fullmatch(stem)) and tagged["tag"].upper() in _COLOUR_TAGS:
        yield tagged["shot"]
    for prefix in _COLOUR_PREFIXES:
        if stem.startswith(prefix.lower()):
            yield stem[len(prefix) :]


def _bands(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, Shot]:
    """By DJI's `_MS_`; TIFFs by a band's name or number, where a shot has two of them, or a colour picture too."""
    found: dict[PurePosixPath, Shot] = {}
    shots: dict[tuple[PurePosixPath, str], dict[PurePosixPath, str]] = defaultdict(dict)
    numbered: dict[tuple[PurePosixPath, str], dict[PurePosixPath, str]] = defaultdict(dict)
    colour = {
        (path.parent, stem)
        for path in paths
        if path.suffix.lower() not in TIFF_SUFFIXES
        for stem in _colour_stems(path)
    }
    for path in paths:
        named = _DJI.fullmatch(path.stem)
        if named and named["tag"].upper().startswith("MS_"):
            tag = named["tag"].upper().removeprefix("MS_")
            found[path] = Shot(Kind.BAND, _BAND_TAGS.get(tag, tag.lower()))
        elif path.suffix.lower() not in TIFF_SUFFIXES:
            continue
        elif other := _NUMBERED_BAND.fullmatch(path.stem):
            band = other["band"]
            numbered[path.parent, other["shot"].lower()][path] = _MICASENSE.get(band, f"{band}th")
        elif (other := _TAGGED.fullmatch(path.stem)) and (band := _BAND_TAGS.get(other["tag"].upper(), "")):
            shots[path.parent, other["shot"].lower()][path] = band
        elif (other := _LAST_DIGIT.fullmatch(path.stem)) and (path.parent, other["shot"].lower() + "0") in colour:
            found[path] = Shot(Kind.BAND, _PHANTOM[other["band"]])  # the colour picture ends in 0
    # a flight's photos may be numbered as bands are; shots of a camera have the same bands, several times
    sets = Counter(frozenset(bands.values()) for bands in numbered.values())
    shots.update({shot: bands for shot, bands in numbered.items() if sets[frozenset(bands.values())] >= MIN_PHOTOS})
    for (folder, shot), bands in shots.items():
        if len(bands) > 1 or (folder, shot) in colour:
            found.update((path, Shot(Kind.BAND, band)) for path, band in bands.items())
    return found


def _zoom(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, Shot]:
    """Pictures of the zoom lens whose shot the wide lens took too; the others are photos like any."""
    wide, zoom = set(), {}
    for path in paths:
        named = _DJI.fullmatch(path.stem) or _TAGGED.fullmatch(path.stem)
        if named is None:
            continue
        # the two lenses' clocks may differ by a second: DJI's number of the shot decides
        shot = (path.parent, re.sub(r"^dji_\d+_", "", named["shot"].lower()))
        if named["tag"].upper() in _WIDE_TAGS:
            wide.add(shot)
        elif named["tag"].upper() in _ZOOM_TAGS:
            zoom[path] = shot
    return dict.fromkeys((path for path, shot in zoom.items() if shot in wide), Shot(Kind.ZOOM))


def _panoramas(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, Shot]:
    """Stitched ones."""
    return dict.fromkeys((path for path in paths if _PANORAMA_NAME.fullmatch(path.stem)), Shot(Kind.PANORAMA))
