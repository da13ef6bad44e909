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
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TypeVar

from contract.counts import MIN_PHOTOS
from contract.wanted import PHOTO_SUFFIXES, RAW_SUFFIXES, TIFF_SUFFIXES

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
_COLOUR_PREFIXES = ("max_", "rgb_", "vis_", "dji_", "img_")
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
    every = [_Name.of(path) for path in dict.fromkeys(paths)]
    found = _beside_photos(every)
    rest = [name for name in every if name not in found]
    for rule in (_thermal, _bands, _zoom, _panoramas):
        found.update(rule(rest))
        rest = [name for name in rest if name not in found]
    return {name.path: found.get(name, COLOUR) for name in every}


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


@dataclass(eq=False, slots=True)
class _Name:
    """The name of a picture, taken apart once: an upload may have 50,000, and every rule looks at each of them.

    `folder`: its path; `folders`: the names in that, in lower case; `stem`: of the file; `key`: the stem in lower case;
    `suffix`: in lower case.
    """

    path: PurePosixPath
    folder: str
    folders: frozenset[str]
    stem: str
    key: str
    suffix: str
    of_dji: re.Match[str] | None
    tagged: re.Match[str] | None

    @classmethod
    def of(cls, path: PurePosixPath) -> _Name:
        folder, stem = _above(str(path)), path.stem
        of_dji, tagged = _DJI.fullmatch(stem), _TAGGED.fullmatch(stem)
        return cls(path, folder, _names_in(folder), stem, stem.lower(), path.suffix.lower(), of_dji, tagged)

    @property
    def is_tiff(self) -> bool:
        return self.suffix in TIFF_SUFFIXES


@lru_cache(1000)
def _names_in(folder: str) -> frozenset[str]:
    return frozenset(folder.lower().split("/"))


Found = dict[_Name, Shot]


def _above(path: str) -> str:
    """The path of the folder that a file or folder lies in; "" at the top."""
    return path.rpartition("/")[0]


def _beside_photos(names: Sequence[_Name]) -> Found:
    """Masks, previews and twins, by the photo that they are named after."""
    candidates: dict[_Name, tuple[Kind, str]] = {}
    for name in names:
        if name.folders & _MASK_FOLDERS:
            named = _MASK_NAME.fullmatch(name.stem)
            candidates[name] = (Kind.MASK, named["photo"] if named else name.stem)
        elif named := _MASK_NAME.fullmatch(name.stem):
            candidates[name] = (Kind.MASK, named["photo"])
        elif name.folders & _PREVIEW_FOLDERS:
            candidates[name] = (Kind.PREVIEW, name.stem)
        elif named := _PREVIEW_NAME.fullmatch(name.stem):
            candidates[name] = (Kind.PREVIEW, named["photo"])
    candidates |= _twins([name for name in names if name not in candidates])
    if not candidates:
        return {}
    index = _Index([name for name in names if name not in candidates])
    found = {
        name: Shot(kind, of=photo.path)
        for name, (kind, named_after) in candidates.items()
        if (photo := index.photo(name, named_after)) is not None
    }
    # once one is a mask, the others are: of photos that are not in the archive
    if any(shot.kind is Kind.MASK for shot in found.values()):
        for name, (kind, _) in candidates.items():
            if kind is Kind.MASK:
                found.setdefault(name, Shot(kind))
    return found


def _twins(names: Sequence[_Name]) -> dict[_Name, tuple[Kind, str]]:
    """Files of one shot in a folder but the best of them; raw files in a folder of their own."""
    shots: dict[tuple[str, str], list[_Name]] = defaultdict(list)
    for name in names:
        if name.suffix in PHOTO_SUFFIXES:
            apart = name.suffix in RAW_SUFFIXES and name.folder.lower().rpartition("/")[2] in _RAW_FOLDERS
            shots[_above(name.folder) if apart else name.folder, name.key].append(name)
    found: dict[_Name, tuple[Kind, str]] = {}
    for files in shots.values():
        if len(files) > 1:
            best = min(files, key=lambda name: PHOTO_SUFFIXES.index(name.suffix))
            others = [name for name in files if name.suffix != best.suffix]
            found.update(dict.fromkeys(others, (Kind.TWIN, best.path.name)))
    return found


class _Index:
    """Finds the photo that another file is named after: in the same folder, beside its folder, else the only one.

    Thousands of folders may hold a photo of one name, and as many others a file that is named after it, so the search
    covers the folders above a file, not the photos.
    """

    def __init__(self, photos: Sequence[_Name]) -> None:
        self._photos: dict[str, list[_Name]] = defaultdict(list)
        self._in: dict[tuple[str, str], list[_Name]] = defaultdict(list)
        self._below: dict[tuple[str, str], list[_Name]] = defaultdict(list)
        for photo in photos:
            for name in (photo.key, photo.path.name.lower()):
                self._photos[name].append(photo)
                self._in[name, photo.folder].append(photo)
                self._below[name, _above(photo.folder)].append(photo)

    def photo(self, name: _Name, named_after: str) -> _Name | None:
        key = named_after.lower()
        if key not in self._photos:
            return None
        for folder in (name.folder, _above(name.folder)):
            if close := self._in.get((key, folder)):
                return close[0]
        near: set[_Name] = set()
        for folder in _folders_above(name):
            for index in (self._in, self._below):
                near.update(index.get((key, folder), [])[:2])  # more than one is too many
        return next((next(iter(some)) for some in (near, self._photos[key]) if len(some) == 1), None)


def _folders_above(name: _Name) -> Iterator[str]:
    folder = name.folder
    while folder:
        yield folder
        folder = _above(folder)
    yield folder


def _thermal(names: Sequence[_Name]) -> Found:
    """By DJI's own names; by a tag or prefix that others lack, once a colour picture of one such shot is there."""
    thermal = Shot(Kind.THERMAL)
    found: Found = {}
    colour = {(name.folder, stem) for name in names for stem in _colour_stems(name)}
    tagged, confirmed = [], False
    for name in names:
        if name.folders & _THERMAL_FOLDERS or (name.of_dji and _is_djis_thermal(name.of_dji["tag"].upper(), name)):
            found[name] = thermal
            continue
        other = name.tagged
        if other is None or other["tag"].upper() not in _THERMAL_TAGS:
            other = _PREFIX.fullmatch(name.stem)
        if other:
            tagged.append(name)
            confirmed |= (name.folder, other["shot"].lower()) in colour
    return found | (dict.fromkeys(tagged, thermal) if confirmed else {})


def _is_djis_thermal(tag: str, name: _Name) -> bool:
    """`_R` is the radiometric JPEG of an XT2; of a TIFF it is the red band."""
    return tag in _THERMAL_TAGS or (tag == "R" and not name.is_tiff)


def _colour_stems(name: _Name) -> Iterator[str]:
    """What the stem of another picture of the same shot may be, in lower case, if this one is in colour."""
    yield name.key
    if (tagged := name.tagged) and tagged["tag"].upper() in _COLOUR_TAGS:
        yield tagged["shot"].lower()
    for prefix in _COLOUR_PREFIXES:
        if name.key.startswith(prefix):
            yield name.key[len(prefix) :]


def _bands(names: Sequence[_Name]) -> Found:
    """By DJI's `_MS_`; TIFFs by a band's name or number, where a shot has two of them, or a colour picture too."""
    found: Found = {}
    shots: dict[tuple[str, str], dict[_Name, str]] = defaultdict(dict)
    numbered: dict[tuple[str, str], dict[_Name, str]] = defaultdict(dict)
    colour = {(name.folder, stem) for name in names if not name.is_tiff for stem in _colour_stems(name)}
    for name in names:
        if name.of_dji and name.of_dji["tag"].upper().startswith("MS_"):
            tag = name.of_dji["tag"].upper().removeprefix("MS_")
            found[name] = Shot(Kind.BAND, _BAND_TAGS.get(tag, tag.lower()))
        elif not name.is_tiff:
            continue
        elif other := _NUMBERED_BAND.fullmatch(name.stem):
            band = other["band"]
            numbered[name.folder, other["shot"].lower()][name] = _MICASENSE.get(band, f"{band}th")
        elif (other := name.tagged) and (band := _BAND_TAGS.get(other["tag"].upper(), "")):
            shots[name.folder, other["shot"].lower()][name] = band
        elif (other := _LAST_DIGIT.fullmatch(name.stem)) and (name.folder, other["shot"].lower() + "0") in colour:
            found[name] = Shot(Kind.BAND, _PHANTOM[other["band"]])  # the colour picture ends in 0
    # a flight's photos may be numbered as bands are; shots of a camera have the same bands, several times
    sets = Counter(frozenset(bands.values()) for bands in numbered.values())
    shots.update({shot: bands for shot, bands in numbered.items() if sets[frozenset(bands.values())] >= MIN_PHOTOS})
    for shot, bands in shots.items():
        if len(bands) > 1 or shot in colour:
            found.update((name, Shot(Kind.BAND, band)) for name, band in bands.items())
    return found


def _zoom(names: Sequence[_Name]) -> Found:
    """Pictures of the zoom lens whose shot the wide lens took too; the others are photos like any."""
    wide, zoom = set(), {}
    for name in names:
        named = name.of_dji or name.tagged
        if named is None:
            continue
        # the two lenses' clocks may differ by a second: DJI's number of the shot decides
        shot = (name.folder, re.sub(r"^dji_\d+_", "", named["shot"].lower()))
        if named["tag"].upper() in _WIDE_TAGS:
            wide.add(shot)
        elif named["tag"].upper() in _ZOOM_TAGS:
            zoom[name] = shot
    return dict.fromkeys((name for name, shot in zoom.items() if shot in wide), Shot(Kind.ZOOM))


def _panoramas(names: Sequence[_Name]) -> Found:
    """Stitched ones."""
    return dict.fromkeys((name for name in names if _PANORAMA_NAME.fullmatch(name.stem)), Shot(Kind.PANORAMA))
