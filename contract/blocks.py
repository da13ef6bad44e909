"""Large flights are trained in blocks: how many, `blocks.json`, and where a block's files lie.

The sfm stage cuts the ground into boxes that tile it, and writes, beside its scene and only where there is more than
one block (`counts.blocks` of its result.json; 1: none of these files):

    blocks.json                 the plan: hull, boxes, widths
    blocks/<id:02d>/photos.json the photos of a block: split of the whole flight, and the part that shows the block
    blocks/<id:02d>/sparse/0/   the part of the flight's sparse model that these photos see within the margins of box
                                and hull
    coarse/photos.json          the photos of the coarse model: all of them, whole

A training container finds sfm's output in its channel, or of it what it reads (`read_by`); the variable BLOCK says what
it trains:

    BLOCK=coarse   a small model of everything, into scene.ply, with the plan beside it
    BLOCK=<id>     one block, its opacities faded across the seams; the coarse model in the channel `coarse`
                   (`coarse/scene.ply`) is drawn behind it and does not change
    (none)         the whole flight

The compressor joins them where its input holds `coarse/` and `blocks/<id:02d>/`, each folder the output of its
training. A block that is not there is missing from the flight: the coarse model stands in its place.

A block has no Gaussians or steps in the plan: those follow from the quality.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from contract.schema_parts import AMOUNT, COUNT, NUMBER, STRING, Schema, listed, nullable, strict
from contract.split import Split

VERSION = 1
BLOCKS_FILE = PurePosixPath("blocks.json")
COARSE: Literal["coarse"] = "coarse"
COARSE_CHANNEL = "coarse"
COARSE_FILES = ("scene.ply", "surroundings.json", "result.json")
"""The files of the coarse model that a block reads: what is drawn behind it, and the photos' exposures."""
JOINED_FILES = ("scene.ply", "dense.ply", "views.json", "result.json")
"""The files of a block that the join reads."""
BLOCK_VARIABLE, BLOCKS_VARIABLE = "BLOCK", "BLOCKS"

UNDIVIDED_BELOW = 600  # photos that one GPU trains in an hour or so
PHOTOS_A_BLOCK = 400
MIN_BLOCK_PHOTOS = 50  # with fewer, seams and starting a machine cost more than is gained
MAX_BLOCKS = 40
MARGIN_SHARE = 0.1  # of a photo's footprint: what is trained around the box, and cut off again
FADE_SHARE = 0.4  # of the margin: half of the band across a seam in which one block fades into the next

BlockName = int | Literal["coarse"]
Place = tuple[float, float]
Rect = tuple[int, int, int, int]


def blocks_for(photos: int, forced: int | None = None) -> int:
    """How many blocks a flight of so many placed photos should have; 1: it is trained whole.

    `forced`: the number that was requested. The result is lower if blocks would otherwise have fewer than
    MIN_BLOCK_PHOTOS photos, and at most MAX_BLOCKS.
    """
    if forced is None and photos < UNDIVIDED_BELOW:
        return 1
    wanted = math.ceil(photos / PHOTOS_A_BLOCK) if forced is None else forced
    return max(1, min(wanted, photos // MIN_BLOCK_PHOTOS, MAX_BLOCKS))


def parse_block(text: str) -> BlockName | None:
    """The part that the variable BLOCK names; None if it is empty. Raises ValueError."""
    if text in ("", COARSE):
        return COARSE if text else None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_BLOCKS):
        raise ValueError(f"{BLOCK_VARIABLE} must be {COARSE} or a number from 1 to {MAX_BLOCKS}, not {text!r}")
    return int(text)


def block_folder(block: int) -> PurePosixPath:
    """The folder of a block's files, in sfm's output and in the input of the join."""
    return PurePosixPath("blocks") / f"{block:02d}"


def photos_file(block: BlockName) -> PurePosixPath:
    """The list of a block's photos, in sfm's output."""
    return (PurePosixPath(COARSE) if block == COARSE else block_folder(block)) / "photos.json"


def model_folder(block: BlockName) -> PurePosixPath:
    """The folder of the sparse model that a part of the flight is trained from, in sfm's output. The coarse model is
    trained from the flight's own.
    """
    return (PurePosixPath() if block == COARSE else block_folder(block)) / "sparse" / "0"


def read_by(block: BlockName, photos: Collection[str]) -> Callable[[str], bool]:
    """Whether training a part of the flight reads a file of sfm's output; `photos`: the names of its photos."""
    whole = {"blocks.json", "photos.json", "georeference.json", str(photos_file(block))}
    model = model_folder(block)
    masks = {mask for name in photos for mask in (f"{name}.png", str(PurePosixPath(name).with_suffix(".png")))}

    def is_read(file: str) -> bool:
        path = PurePosixPath(file)
        if path.parts[0] in ("images", "masks"):
            return str(path.relative_to(path.parts[0])) in (photos if path.parts[0] == "images" else masks)
        return file in whole or path.parent == model

    return is_read


def read_for_survey(file: str) -> bool:
    """Whether the compressor of a large flight reads a file of sfm's output, for the page and the survey products: the
    photos, their masks, and the files at the top."""
    path = PurePosixPath(file)
    return path.parts[0] in ("images", "masks") or len(path.parts) == 1


class Side(NamedTuple):
    """A side of a box that another box is beyond: it lies at `value` along `axis`; `inward`: +1 or -1."""

    axis: int
    value: float
    inward: int


@dataclass(frozen=True)
class Box:
    """A rectangle on the ground, half-open: low <= place < high. None: it has no end on that side."""

    low: tuple[float | None, float | None]
    high: tuple[float | None, float | None]

    def sides(self) -> Iterator[Side]:
        """The sides that it shares with other boxes."""
        for axis in (0, 1):
            for value, inward in ((self.low[axis], 1), (self.high[axis], -1)):
                if value is not None:
                    yield Side(axis, value, inward)

    def holds(self, place: Place, margin: float = 0.0) -> bool:
        """Whether it holds a place on the ground, or is at most `margin` from it along each axis."""
        return all(
            value - margin <= place[axis] if inward > 0 else place[axis] < value + margin
            for axis, value, inward in self.sides()
        )

    def halved(self, axis: int, value: float) -> tuple[Box, Box]:
        """The parts below and from `value` on."""
        high = (value, self.high[1]) if axis == 0 else (self.high[0], value)
        low = (value, self.low[1]) if axis == 0 else (self.low[0], value)
        return Box(self.low, high), Box(low, self.high)


EVERYWHERE = Box((None, None), (None, None))


@dataclass(frozen=True)
class Hull:
    """What the blocks share out among them, along the plan's axes; beyond lie horizon and sky, of the coarse model."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


@dataclass(frozen=True)
class Block:
    """One block. `weight`: its share of the flight's work, all blocks' add up to 1; `photos`: that it trains on or
    holds out; `pixels`: of their parts; `points`: sparse points in its box.
    """

    id: int
    box: Box
    weight: float
    photos: int
    pixels: int
    points: int


@dataclass(frozen=True)
class BlockPlan:
    """`blocks.json`.

    photos: placed photos of the flight.
    axes: rows are the two axes of the ground and up, unit vectors in the scene's coordinates; a place is the first two
        products with a position.
    margin: what is trained around a box, in the scene's units.
    fade: half of the band across a seam in which opacities fade.
    """

    photos: int
    axes: tuple[tuple[float, float, float], ...]
    hull: Hull
    margin: float
    fade: float
    blocks: tuple[Block, ...]

    def block(self, identifier: int) -> Block:
        """Raises KeyError."""
        for block in self.blocks:
            if block.id == identifier:
                return block
        raise KeyError(f"there is no block {identifier} among {len(self.blocks)}")

    def as_json(self) -> dict[str, Any]:
        """The document."""
        document = asdict(self)
        for row in document["blocks"]:
            row |= {**row.pop("box"), "folder": str(block_folder(row["id"]))}
        return {"version": VERSION, **document, "coarse": {"photos": str(photos_file(COARSE))}}

    @classmethod
    def from_json(cls, value: Any) -> BlockPlan:
        """Raises ValueError where it is no such document."""
        try:
            if value["version"] != VERSION:
                raise ValueError(f"version {value['version']!r}")
            blocks = tuple(
                Block(
                    id=int(row["id"]),
                    box=Box(_open_pair(row["low"]), _open_pair(row["high"])),
                    weight=float(row["weight"]),
                    **{name: int(row[name]) for name in ("photos", "pixels", "points")},
                )
                for row in value["blocks"]
            )
            hull = Hull(_triple(value["hull"]["low"]), _triple(value["hull"]["high"]))
            axes = tuple(_triple(row) for row in value["axes"])
            plan = cls(int(value["photos"]), axes, hull, float(value["margin"]), float(value["fade"]), blocks)
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a plan of blocks ({error!r})") from error
        numbers = {block.id for block in blocks}
        if len(numbers) < len(blocks) or not numbers <= set(range(1, MAX_BLOCKS + 1)):
            raise ValueError("not a plan of blocks: each needs a number of its own")
        if not blocks or len(axes) != 3 or not 0 < plan.fade <= plan.margin < math.inf:
            raise ValueError("not a plan of blocks")
        return plan


@dataclass(frozen=True)
class BlockPhoto:
    """A row of a block's `photos.json`. `split`: the whole flight's, so that no block trains what another holds out;
    `rect`: left, top, right and bottom of the part that shows the block, in pixels of the undistorted photo; `points`:
    sparse points that it sees there.
    """

    name: str
    split: Split
    rect: Rect
    points: int

    @property
    def pixels(self) -> int:
        """Of its part."""
        left, top, right, bottom = self.rect
        return (right - left) * (bottom - top)

    @classmethod
    def from_json(cls, row: Any) -> BlockPhoto:
        """Raises ValueError where it is no such row."""
        try:
            left, top, right, bottom = map(int, row["rect"])
            photo = cls(str(row["name"]), row["split"], (left, top, right, bottom), int(row["points"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not a photo of a block ({error!r})") from error
        if photo.split not in ("train", "test") or not (0 <= left < right and 0 <= top < bottom):
            raise ValueError(f"not a photo of a block: {row!r}")
        return photo


def _triple(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(f"not finite: {values!r}")
    return x, y, z


def _open_pair(values: Any) -> tuple[float | None, float | None]:
    x, y = (None if value is None else float(value) for value in values)
    if not all(value is None or math.isfinite(value) for value in (x, y)):
        raise ValueError(f"not finite: {values!r}")
    return x, y


_TRIPLE: Schema = {**listed(NUMBER), "minItems": 3, "maxItems": 3}
_OPEN_PAIR: Schema = {
    **listed(nullable(NUMBER)),
    "minItems": 2,
    "maxItems": 2,
    "description": "Along the two axes of the ground; null: no end",
}


def blocks_schema() -> Schema:
    """`blocks.json`: how a large flight is cut into blocks."""
    block = strict(
        {
            "id": {"type": "integer", "minimum": 1, "maximum": MAX_BLOCKS},
            "low": _OPEN_PAIR,
            "high": _OPEN_PAIR,
            "weight": {**AMOUNT, "maximum": 1, "description": "Share of the flight's work"},
            "photos": {**COUNT, "description": "Trained and held out"},
            "pixels": {**COUNT, "description": "Of the photos' parts"},
            "points": {**COUNT, "description": "Sparse points in the box"},
            "folder": {"type": "string", "pattern": "^blocks/[0-9]{2}$"},
        }
    )
    return {
        "title": "Blocks of a large flight",
        "description": "Boxes are half-open and tile the ground. Lengths are in the scene's units",
        **strict(
            {
                "version": {"const": VERSION},
                "photos": {**COUNT, "description": "Placed photos of the flight"},
                "axes": {
                    **listed(_TRIPLE),
                    "minItems": 3,
                    "maxItems": 3,
                    "description": "Rows: the two axes of the ground, and up",
                },
                "hull": {**strict({"low": _TRIPLE, "high": _TRIPLE}), "description": "Along the axes"},
                "margin": {**AMOUNT, "description": "Trained around a box, and cut off again"},
                "fade": {**AMOUNT, "description": "Half of the band across a seam in which opacities fade"},
                "coarse": strict({"photos": {"const": str(photos_file(COARSE))}}),
                "blocks": {**listed(block), "minItems": 1, "maxItems": MAX_BLOCKS},
            }
        ),
    }


def block_photos_schema() -> Schema:
    """`blocks/<id>/photos.json` and `coarse/photos.json`: the photos of a block."""
    row = strict(
        {
            "name": STRING,
            "split": {"enum": ["train", "test"], "description": "The whole flight's"},
            "rect": {
                **listed(COUNT),
                "minItems": 4,
                "maxItems": 4,
                "description": "Left, top, right, bottom, in pixels of the undistorted photo",
            },
            "points": {**COUNT, "description": "Sparse points that it sees there"},
        }
    )
    return {"title": "Photos of a block", **listed(row)}
