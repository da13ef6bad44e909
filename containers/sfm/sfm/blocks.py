"""Cut a large flight into blocks: boxes on the ground, and the part of each photo that shows a block.

As in a k-d tree, the heaviest box is halved across its longer side until there are enough boxes; a box's weight is the
number of its sparse points. A photo belongs to every block that it shows, and is cropped to the rectangle that shows
the block: 120 photos in four blocks have 1.28 times the pixels of the flight, compared with 2.71 times uncropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pycolmap

from contract.blocks import (
    BLOCKS_FILE,
    COARSE,
    EVERYWHERE,
    FADE_SHARE,
    MARGIN_SHARE,
    MIN_BLOCK_PHOTOS,
    Block,
    BlockName,
    BlockPhoto,
    BlockPlan,
    Box,
    Hull,
    blocks_for,
    model_folder,
    photos_file,
)
from contract.files import write_json
from contract.split import Split, hold_out
from contract.warning_codes import WarningCode
from geo.boxes import along_axes, in_box, in_hull
from sfm.block_models import ModelCutter
from sfm.flight import Bool, Flight, Float64, flight_of
from stage.result import Warning

Axes = tuple[tuple[float, float, float], ...]

UPRIGHT: Axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
MIN_SHOWN = 20  # points of a block in a photo: fewer are its far edge
GRID = 16  # pixels that rectangles are rounded to
_PAD = 1 / 80  # of a photo's longer side, around the points that it shows
_HULL = (0.5, 99.5)  # percentiles of the points along each axis that it goes around
_MIDDLE = (0.4, 0.6)  # shares of a box's points between which it may be cut where there is a gap


def divide(output: Path, photos: int, requested: int | None, *, georeferenced: bool) -> tuple[int, list[Warning]]:
    """Divide the undistorted scene in `output`, of so many placed photos, into the blocks that it should have or that
    were `requested`; what `write_blocks` leaves lies beside it. Returns the number of blocks, and the warnings.
    """
    blocks = blocks_for(photos, requested)
    if blocks > 1:
        blocks = write_blocks(output, output / "sparse" / "0", blocks, georeferenced=georeferenced)
    return blocks, block_warnings(blocks, requested)


def write_blocks(output: Path, model: Path, wanted: int, *, georeferenced: bool) -> int:
    """Plan `wanted` blocks for the undistorted scene in `model`. Unless the plan has only one block, write it to
    `output`, with each block's photos and sparse model. Returns the number of blocks.
    """
    reconstruction = pycolmap.Reconstruction(model)
    flight = flight_of(reconstruction)
    plan = plan_blocks(flight, wanted, georeferenced=georeferenced)
    if len(plan.blocks) == 1:
        return 1
    lists: dict[BlockName, list[BlockPhoto]] = {
        block.id: block_photos(flight, wide_points(flight, plan, block.box)) for block in plan.blocks
    }
    lists[COARSE] = block_photos(flight, np.ones(len(flight.positions), np.bool_), whole=True)
    for name, photos in lists.items():
        path = output / photos_file(name)
        path.parent.mkdir(parents=True)
        write_json(path, [asdict(photo) for photo in photos])
    cutter = ModelCutter(reconstruction, flight)
    for block in plan.blocks:
        names = {photo.name for photo in lists[block.id]}
        cutter.write(output / model_folder(block.id), names, trained_points(flight, plan, block.box))
    write_json(output / BLOCKS_FILE, plan.as_json())
    return len(plan.blocks)


def block_warnings(blocks: int, requested: int | None) -> list[Warning]:
    """The warning if fewer blocks were planned than `requested` (None: no number was requested)."""
    if requested is None or blocks >= requested:
        return []
    return [Warning(WarningCode.FEWER_BLOCKS, f"{blocks} of {requested} blocks")]


def plan_blocks(flight: Flight, wanted: int, *, georeferenced: bool) -> BlockPlan:
    """Plan `wanted` blocks, or fewer if one would have fewer than MIN_BLOCK_PHOTOS photos.

    The ground of a scene that is not georeferenced is the plane of its points.
    """
    axes = UPRIGHT if georeferenced else axes_of_plane(flight.positions, flight.centres)
    margin = MARGIN_SHARE * flight.footprint
    places = np.asarray(flight.positions @ np.array(axes).T)
    low, high = np.percentile(places, _HULL, axis=0)
    hull = Hull(_triple(low - margin), _triple(high + margin))
    empty = BlockPlan(len(flight.names), axes, hull, margin, FADE_SHARE * margin, ())

    def photos_of(box: Box) -> int:
        return int(np.count_nonzero(flight.shown(wide_points(flight, empty, box)) >= MIN_SHOWN))

    boxes = cut(places, wanted, margin, lambda box: photos_of(box) >= MIN_BLOCK_PHOTOS)
    blocks = []
    for number, box in enumerate(boxes, start=1):
        photos = block_photos(flight, wide_points(flight, empty, box))
        pixels = sum(photo.pixels for photo in photos)
        points = int(np.count_nonzero(in_box(box, places)))
        blocks.append(Block(number, box, points / len(places), len(photos), pixels, points))
    return BlockPlan(len(flight.names), axes, hull, margin, FADE_SHARE * margin, tuple(blocks))


def cut(places: Float64, wanted: int, gap: float, large_enough: Callable[[Box], bool]) -> list[Box]:
    """At most `wanted` boxes that tile the ground, with nearly equal numbers of `places` (N, 2 or 3).

    The heaviest box is halved until there are enough: across its longer side, or across the other if the halves are not
    both `large_enough`; it is not halved if neither works. `gap`: a width without points at which a cut is better even
    though the halves are less equal, for example between two sites.
    """
    done: list[tuple[Box, Bool]] = []
    rest = [(EVERYWHERE, np.ones(len(places), np.bool_))]
    while rest and len(done) + len(rest) < wanted:
        rest.sort(key=lambda item: int(item[1].sum()))
        box, inside = rest.pop()
        halves = _halves(places[inside, :2], box, gap, large_enough)
        if halves is None:
            done.append((box, inside))
        else:
            rest += [(half, inside & in_box(half, places)) for half in halves]
    boxes = [box for box, _ in [*done, *rest]]
    return sorted(boxes, key=lambda box: tuple(-np.inf if value is None else value for value in box.low))


def _halves(places: Float64, box: Box, gap: float, large_enough: Callable[[Box], bool]) -> tuple[Box, Box] | None:
    if len(places) < 2:
        return None
    low, high = np.percentile(places, (1, 99), axis=0)
    for axis in np.argsort(low - high):
        halves = box.halved(int(axis), seam_at(places[:, axis], gap))
        if all(large_enough(half) for half in halves):
            return halves
    return None


def seam_at(values: Float64, gap: float) -> float:
    """Where to cut along an axis: at the median, or in the widest gap about it that is wider than `gap`."""
    ordered = np.sort(values)
    first, last = (int(share * (len(ordered) - 1)) for share in _MIDDLE)
    middle = ordered[first : last + 2]
    gaps = np.diff(middle)
    if len(gaps) and gaps.max() > gap:
        widest = int(gaps.argmax())
        return float((middle[widest] + middle[widest + 1]) / 2)
    return float(np.median(ordered))


def wide_points(flight: Flight, plan: BlockPlan, box: Box) -> Bool:
    """(N,) which points a block's photos must show: in its box or the margin around it, and in the hull."""
    places = along_axes(plan, flight.positions)
    return np.asarray(in_box(box, places, plan.margin) & in_hull(plan, places))


def trained_points(flight: Flight, plan: BlockPlan, box: Box) -> Bool:
    """(N,) which points a block trains: within the margin around its box, and around the hull."""
    places = along_axes(plan, flight.positions)
    return np.asarray(in_box(box, places, plan.margin) & in_hull(plan, places, plan.margin))


def block_photos(flight: Flight, chosen: Bool, *, whole: bool = False) -> list[BlockPhoto]:
    """The photos that see enough of the `chosen` points (N,), cropped to the part that shows them; for the coarse
    model, all photos, uncropped. The split into training and check photos is that of the entire flight.
    """
    seen = chosen[flight.points]
    photos, pixels = flight.photos[seen], flight.pixels[seen]
    order = np.argsort(photos, kind="stable")
    ends = np.searchsorted(photos[order], np.arange(len(flight.names) + 1))
    splits: list[Split] = hold_out(len(flight.names))
    found = []
    for number, name in enumerate(flight.names):
        rows = order[ends[number] : ends[number + 1]]
        width, height = (int(side) for side in flight.sizes[number])
        if whole:
            found.append(BlockPhoto(name, splits[number], (0, 0, width, height), len(rows)))
        elif len(rows) >= MIN_SHOWN:
            pad = _PAD * max(width, height)
            low, high = np.percentile(pixels[rows], _HULL, axis=0)
            left, top = (max(0, int((value - pad) // GRID * GRID)) for value in low)
            right, bottom = (int(-(-(value + pad) // GRID) * GRID) for value in high)
            rect = (left, top, min(width, right), min(height, bottom))
            found.append(BlockPhoto(name, splits[number], rect, len(rows)))
    return found


def axes_of_plane(positions: Float64, centres: Float64) -> Axes:
    """Two axes of the plane that the points (N, 3) lie about, and the direction away from it that the cameras (P, 3)
    are in; outliers, a tenth of the points, do not turn it.
    """
    middle = np.median(positions, axis=0)
    away = np.linalg.norm(positions - middle, axis=1)
    near = positions[away <= np.percentile(away, 90)]
    near = near[:: max(1, len(near) // 20_000)] - near.mean(axis=0)
    _, _, rows = np.linalg.svd(near, full_matrices=False)
    up = rows[2] if np.median((centres - middle) @ rows[2]) >= 0 else -rows[2]
    across = np.cross(up, rows[0])
    return (_triple(rows[0]), _triple(across), _triple(up))


def _triple(values: Float64) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
