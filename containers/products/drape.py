"""Make a true orthophoto: photos draped over the surface, and the splat where heights jump or no photo sees.

Photos give the texture. The splat gives what a height map cannot: straight eaves, and thin things without seams. Where
heights jump, most of the area is leaves. Photos and splat both show these, with independent errors, so that their mean
is better than either. Where their colours differ, one of them shows something else, and the splat is used alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import prange
from numpy.typing import NDArray

from products.grid import Grid, Placed
from splat.camera import Camera
from splat.gaussians import Float32
from splat.kernels import parallel_kernel
from stage.pictures import MASKED_BELOW

Bytes = NDArray[np.uint8]
Vector = NDArray[np.float64]

BEST = 2  # photos that are mixed in a cell: those that look most steeply down
_MARGIN = 4.0  # pixels at a photo's rim that are not used
# a surface is hidden if it lies farther behind the splat's depth than this share of the depth plus this many cells
_TOLERANCE = 0.01
_TOLERANCE_CELLS = 6.0
_SHARPNESS = 40.0  # weights by the view's cosine: two photos whose cosines differ by 2.5 % differ by a factor of e
JUMP_METRES, JUMP_REACH_METRES = 0.5, 0.2
_BOXES = 3
_SOFTNESS = 2  # cells over which the splat fades into the photos
_APART = 0.25  # difference of colour, 0 to 1, at which the photos count 1/e of what they do where it is none
HOLE_REACH = 12  # cells; a cell is shown if photos see more than this share of the square around it:
HOLE, CRUMB = 0.5, 0.25  # if no photo sees the cell itself, and if one does


UNSEEN = -1.0  # a score below all: that of a photo is the cosine of its line of sight to straight down


@dataclass(frozen=True)
class Drape:
    """The photos draped so far over a tile of `heights` (h, w) with cells of `cell` metres: `scores` (BEST, h, w) and
    `colours` (BEST, h, w, 3) of the best views; `seen` (h, w), whether a photo sees a cell; and `covered` (h, w), the
    number of photos that have it in their picture, seen or hidden.

    `to_enu` (3, 4): from the grid to the photos' frame near the tile; `x` (w,), `y` (h,): the cells' centres.
    """

    heights: Float32
    cell: float
    to_enu: Vector
    x: Vector
    y: Vector
    scores: Float32
    colours: Float32
    seen: NDArray[np.bool_]
    covered: Bytes

    @classmethod
    def over(cls, heights: Float32, grid: Grid, placed: Placed) -> Drape:
        """An empty drape over a tile's `heights` (h, w), at least one of which must be known."""
        shape = (BEST, grid.height, grid.width)
        level = np.median(heights[np.isfinite(heights)])
        middle = [grid.west + grid.width * grid.cell / 2, grid.north - grid.height * grid.cell / 2, level]
        return cls(
            heights, grid.cell, placed.affine_about(np.array(middle)), *grid.centres(),
            np.full(shape, UNSEEN, np.float32), np.zeros((*shape, 3), np.float32), np.zeros(shape[1:], np.bool_),
            np.zeros(shape[1:], np.uint8),
        )  # fmt: skip

    def add(self, camera: Camera, photo: Bytes, gain: Vector, depths: Float32, mask: Bytes) -> None:
        """Drape a `photo` (H, W, 3) of `camera`, divided by its `gain` (3,), except what is dark in its `mask`.
        `depths`: the depths of the splat in the same view; this and the mask may be of any size.
        """
        # from the grid to the camera in one step
        rotation = np.ascontiguousarray(camera.rotation @ self.to_enu[:, :3])
        translation = camera.rotation @ self.to_enu[:, 3] + camera.translation
        position = np.asarray(np.linalg.solve(rotation, -translation), dtype=np.float64)
        view = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        _drape(
            self.heights, self.x, self.y, rotation, translation, position, view, photo, 1 / gain, depths, mask,
            _TOLERANCE_CELLS * self.cell, self.scores, self.colours, self.seen, self.covered,
        )  # fmt: skip

    def shown(self, photos: int) -> NDArray[np.bool_]:
        """The cells (h, w) to show: those of known height that at least `photos` have in their picture and that one of
        them sees, with small holes filled and small specks removed. Holes are filled because photos disagree about what
        hides what in trees, which the splat shows well enough; in large areas that no photo sees, the splat is a guess.
        """
        share = _box(self.seen.astype(np.float32), HOLE_REACH)
        return np.isfinite(self.heights) & (self.covered >= photos) & (share > np.where(self.seen, CRUMB, HOLE))

    def mixed(self) -> Float32:
        """(h, w, 3), 0..1: the best views' mean, weighted by how steeply they look down; black where none sees."""
        weights = np.where(self.scores > UNSEEN, np.exp(_SHARPNESS * (self.scores - self.scores[0])), 0)
        total = np.maximum(weights.sum(axis=0), 1e-6)
        found: Float32 = ((weights[..., None] * self.colours).sum(axis=0) / total[..., None]).astype(np.float32)
        return found


def orthophoto(splat: Float32, drape: Drape) -> Float32:
    """(h, w, 3): the draped photos; where heights jump, their mean with the `splat`'s own picture as far as the two
    agree; the splat's where no photo sees.
    """
    reach, heights = max(1, round(JUMP_REACH_METRES / drape.cell)), drape.heights
    low, high = (
        _over(np.where(np.isfinite(heights), heights, np.inf), reach, np.minimum),
        _over(np.where(np.isfinite(heights), heights, -np.inf), reach, np.maximum),
    )
    jumps = ~(high - low <= JUMP_METRES) | ~drape.seen
    share = jumps.astype(np.float32)
    for _ in range(_BOXES):  # three boxes are nearly a Gaussian
        share = _box(share, _SOFTNESS)
    photos = drape.mixed()
    apart = np.abs(photos - splat).mean(axis=-1)
    alone = 1 - 0.5 * np.exp(-np.square(apart / _APART))
    weight = np.where(~drape.seen, np.float32(1), share * alone)[..., None]
    return np.asarray(weight * splat + (1 - weight) * photos, dtype=np.float32)


def _over(values: Float32, reach: int, choose: np.ufunc) -> Float32:
    """The extreme that `choose` selects in the square of 2 `reach` + 1 cells around each cell."""
    for axis in (0, 1):
        found = values.copy()
        for shift in range(1, min(reach, values.shape[axis] - 1) + 1):
            here, there = [slice(None)] * 2, [slice(None)] * 2
            here[axis], there[axis] = slice(shift, None), slice(None, -shift)
            choose(found[tuple(here)], values[tuple(there)], out=found[tuple(here)])
            choose(found[tuple(there)], values[tuple(here)], out=found[tuple(there)])
        values = found
    return values


def _box(values: Float32, reach: int) -> Float32:
    """The mean of the square of 2 `reach` + 1 cells around each cell, with the rim repeated."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (reach, reach)
        padded = np.pad(values, width, mode="edge")
        size = values.shape[axis]
        parts = [np.take(padded, range(shift, shift + size), axis=axis) for shift in range(2 * reach + 1)]
        values = np.asarray(np.mean(parts, axis=0), dtype=np.float32)
    return values


@parallel_kernel
def _drape(
    heights: Float32, xs: Vector, ys: Vector, rotation: Vector, translation: Vector, position: Vector, view: Vector,
    photo: Bytes, scale: Vector, depths: Float32, mask: Bytes, slack: float, scores: Float32, colours: Float32,
    seen: NDArray[np.bool_], covered: Bytes,
) -> None:  # fmt: skip
    rows, columns = photo.shape[:2]
    map_rows, map_columns = depths.shape
    for j in prange(ys.shape[0]):
        for i in range(xs.shape[0]):
            z = np.float64(heights[j, i])
            if not abs(z) < 1e9:
                continue
            x, y = xs[i], ys[j]
            depth = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z + translation[2]
            if depth <= 0:
                continue
            u = view[0] * (rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z + translation[0]) / depth
            v = view[1] * (rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z + translation[1]) / depth
            u, v = u + view[2], v + view[3]
            if not (_MARGIN < u < columns - _MARGIN and _MARGIN < v < rows - _MARGIN):
                continue
            covered[j, i] = min(covered[j, i] + 1, 255)
            if mask[int(v * mask.shape[0] / rows), int(u * mask.shape[1] / columns)] < MASKED_BELOW:
                continue
            shown = np.float64(depths[int(v * map_rows / rows), int(u * map_columns / columns)])
            if not depth < shown * (1 + _TOLERANCE) + slack:
                continue
            seen[j, i] = True
            dx, dy, dz = x - position[0], y - position[1], z - position[2]
            score = np.float32(-dz / np.sqrt(dx * dx + dy * dy + dz * dz))
            worst = scores.shape[0] - 1
            if score <= scores[worst, j, i]:
                continue
            place = worst
            while place > 0 and score > scores[place - 1, j, i]:
                scores[place, j, i] = scores[place - 1, j, i]
                for channel in range(3):
                    colours[place, j, i, channel] = colours[place - 1, j, i, channel]
                place -= 1
            scores[place, j, i] = score
            left, top = int(u - 0.5), int(v - 0.5)
            a, b = u - 0.5 - left, v - 0.5 - top
            for channel in range(3):
                above = (1 - a) * photo[top, left, channel] + a * photo[top, left + 1, channel]
                below = (1 - a) * photo[top + 1, left, channel] + a * photo[top + 1, left + 1, channel]
                colours[place, j, i, channel] = ((1 - b) * above + b * below) / 255.0 * scale[channel]
