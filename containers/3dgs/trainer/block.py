"""The part of a large flight that a run trains: its photos and points, where it may add Gaussians, its background, and
which of its Gaussians are delivered (contract/blocks.py)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from contract.blocks import (
    BLOCKS_FILE,
    COARSE,
    COARSE_CHANNEL,
    BlockName,
    BlockPhoto,
    BlockPlan,
    model_folder,
    photos_file,
)
from contract.options import WHOLE_NUMBERS
from geo.boxes import along_axes, box_shares, hull_share, in_box, in_hull
from splat.bounded import Bounded
from splat.camera import Camera
from splat.errors import InvalidSceneError, InvalidSplatError
from splat.fading import with_shares
from splat.gaussians import Gaussians
from splat.ply import read_stored_ply
from splat.render import render_with_alpha
from splat.surroundings import Surroundings, read_surroundings
from stage.environment import Options
from stage.errors import ErrorCode, StageError
from trainer.backdrop import Backdrop
from trainer.dataset import Listed, Scene, load_scene
from trainer.schedule import Preset
from trainer.seeds import Start
from trainer.stereo.points import DensePoints

COARSE_EDGE = 800  # pixels of the photos that the coarse model is trained on, and at which it is drawn behind a block
_COARSE_DIVISOR = 4  # the coarse model gets a quarter of the flight's steps and Gaussians
_MAX_COARSE = 300_000
_MIN_OWN = 0.25  # of the points that a block trains, those it delivers
_CACHE_BYTES = 512 << 20

Bool = NDArray[np.bool_]
Channel = Callable[[str], Path]
Float64 = NDArray[np.float64]


class WholeFlight:
    """The part of a flight that is not divided: the entire flight."""

    def preset(self, whole: Preset) -> Preset:
        """What the part is made by."""
        return whole

    def load(self, folder: Path, long_edge: int, fold: int) -> Scene:
        """The part of the scene in `folder`, as `load_scene` has it."""
        return load_scene(folder, long_edge, fold)

    def options(self, whole: Options, scene: Scene) -> Options:
        """The part's share of the customer's steps and Gaussians. `scene`: as `load` returns it."""
        return whole

    def own(self, begun: Start, scene: Scene) -> Start:
        """The Gaussians that training starts from, without those that lie where another block is trained."""
        return begun

    def growing(self, scene: Scene) -> Callable[[Tensor], Tensor] | None:
        """Which of the means (N, 3) in the frame of training may be split; None: all."""
        return None

    def delivered(self, gaussians: Gaussians, scene: Scene) -> Gaussians:
        """The trained Gaussians (in the world) that the part owns, faded across seams and the hull's faces."""
        return gaussians

    def points(self, points: DensePoints, scene: Scene) -> DensePoints:
        """The dense points of the part's own box."""
        return points

    def behind(self, channel: Channel, scene: Scene, far: Callable[[], Surroundings]) -> Behind:
        """The background of the part. `channel`: returns an input's folder for its name; `far`: ground and sky as the
        scene's photos show them. Raises StageError(INVALID_SCENE)."""
        surroundings = far()
        return Behind(surroundings, Backdrop(surroundings), None)

    def leave(self, folder: Path, model: Path) -> None:
        """Write the other files that the join reads into `model`."""


@dataclass(frozen=True)
class Part(WholeFlight):
    """The coarse model or one block: its plan, and its photos by name."""

    name: BlockName
    plan: BlockPlan
    photos: Mapping[str, BlockPhoto]

    @classmethod
    def read(cls, folder: Path, name: BlockName) -> Part:
        """Read the plan in sfm's output and the list of the part's photos. Raises StageError(INVALID_SCENE)."""
        try:
            plan = BlockPlan.from_json(json.loads((folder / BLOCKS_FILE).read_bytes()))
            if name != COARSE:
                plan.block(name)
            rows = json.loads((folder / photos_file(name)).read_bytes())
            photos = [BlockPhoto.from_json(row) for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StageError(ErrorCode.INVALID_SCENE, f"block {name} cannot be trained ({error})") from error
        return cls(name, plan, {photo.name: photo for photo in photos})

    @property
    def is_coarse(self) -> bool:
        return self.name == COARSE

    def load(self, folder: Path, long_edge: int, fold: int) -> Scene:
        low, high = (np.array(corner) for corner in (self.plan.hull.low, self.plan.hull.high))
        middle = (low + high) / 2 @ np.array(self.plan.axes)
        return load_scene(folder, long_edge, fold, Listed(folder / model_folder(self.name), self.photos, middle))

    def preset(self, whole: Preset) -> Preset:
        """What the coarse model is made by; a block by the quality's own."""
        if not self.is_coarse:
            return whole
        return replace(
            whole,
            long_edge=min(COARSE_EDGE, whole.long_edge),
            steps_per_view=whole.steps_per_view / _COARSE_DIVISOR,
            pixels_per_gaussian=whole.pixels_per_gaussian * _COARSE_DIVISOR,
            min_gaussians=whole.min_gaussians // _COARSE_DIVISOR,
            max_gaussians=_MAX_COARSE,
        )

    def options(self, whole: Options, scene: Scene) -> Options:
        """The customer's steps and Gaussians apply to the entire flight. A block gets a share by its photos and points,
        plus those for its margin, which it does not deliver. `scene`: as `load` returns it.
        """
        steps, gaussians, cap = 1 / _COARSE_DIVISOR, 1 / _COARSE_DIVISOR, _MAX_COARSE
        if not self.is_coarse:
            own = self.delivers(scene.positions + np.array(scene.offset)).mean()
            steps, gaussians = len(self.photos) / self.plan.photos, self._weight / max(own, _MIN_OWN)
            cap = WHOLE_NUMBERS["max_gaussians"].high
        return replace(
            whole,
            training_steps=whole.training_steps and max(1, round(whole.training_steps * steps)),
            max_gaussians=whole.max_gaussians and min(cap, max(1, round(whole.max_gaussians * gaussians))),
        )

    def trains(self, positions: Float64) -> Bool:
        """(N,) which positions in the world are trained: within the margin around the box, and around the hull."""
        if self.is_coarse:
            return np.ones(len(positions), np.bool_)
        places = along_axes(self.plan, positions)
        inside = in_hull(self.plan, places, self.plan.margin)
        return np.asarray(inside & in_box(self.plan.block(self._identifier).box, places, self.plan.margin))

    def delivers(self, positions: Float64) -> Bool:
        """(N,) which positions in the world are in its box and in no other, within the hull."""
        if self.is_coarse:
            return np.ones(len(positions), np.bool_)
        places = along_axes(self.plan, positions)
        return np.asarray(in_hull(self.plan, places) & in_box(self.plan.block(self._identifier).box, places))

    def own(self, begun: Start, scene: Scene) -> Start:
        kept = self.trains(_in_world(begun.gaussians.means, scene))
        if not kept.any():
            raise StageError(ErrorCode.INVALID_SCENE, f"nothing in block {self.name} can be trained")
        return replace(begun, gaussians=begun.gaussians.select(kept), dense=int(kept[: begun.dense].sum()))

    def growing(self, scene: Scene) -> Callable[[Tensor], Tensor] | None:
        if self.is_coarse:
            return None

        def inside(means: Tensor) -> Tensor:
            world = _in_world(means.detach().cpu().numpy(), scene)
            return torch.from_numpy(self.trains(world)).to(means.device)

        return inside

    def delivered(self, gaussians: Gaussians, scene: Scene) -> Gaussians:
        if self.is_coarse:
            return gaussians
        places = along_axes(self.plan, gaussians.means + np.array(scene.offset))
        number = [block.id for block in self.plan.blocks].index(self._identifier)
        return with_shares(gaussians, box_shares(self.plan, places)[number] * hull_share(self.plan, places))

    def points(self, points: DensePoints, scene: Scene) -> DensePoints:
        kept = self.delivers(_in_world(points.positions, scene))
        return points.select(kept)

    def behind(self, channel: Channel, scene: Scene, far: Callable[[], Surroundings]) -> Behind:
        if self.is_coarse:
            return super().behind(channel, scene, far)
        return _read_coarse(channel(COARSE_CHANNEL), self, scene)

    def leave(self, folder: Path, model: Path) -> None:
        if self.is_coarse:
            shutil.copyfile(folder / BLOCKS_FILE, model / BLOCKS_FILE)

    @property
    def _identifier(self) -> int:
        assert self.name != COARSE
        return self.name

    @property
    def _weight(self) -> float:
        return self.plan.block(self._identifier).weight


def part_in(folder: Path, name: BlockName | None) -> Part | WholeFlight:
    """The part of the flight in `folder` that is trained; None: all of it. Raises StageError(INVALID_SCENE)."""
    return WholeFlight() if name is None else Part.read(folder, name)


class CoarseBackdrop(Backdrop):
    """The coarse model over ground and sky, without the Gaussians where the block is trained. It does not change during
    the training, so it is drawn once per photo; the block covers it as far as the block is opaque.
    """

    long_edge = COARSE_EDGE

    def __init__(self, surroundings: Surroundings, coarse: Gaussians) -> None:
        super().__init__(surroundings)
        self._coarse = coarse
        self._drawn = Bounded[NDArray[np.uint8]](_CACHE_BYTES, lambda picture: picture.nbytes)

    def behind(self, camera: Camera, width: int, height: int, device: torch.device) -> Tensor:
        """(height, width, 3), 0..1, of `camera`'s picture at that size."""
        small = camera.scaled(min(1.0, self.long_edge / max(camera.width, camera.height)))
        key = (camera.world_to_camera.tobytes(), camera.intrinsics.tobytes(), camera.width, camera.height)
        picture = self._drawn.get(key, lambda: self._draw(camera, small))
        planes = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float() / 255
        return interpolate(planes, (height, width), mode="bilinear", antialias=True)[0].permute(1, 2, 0)

    def _draw(self, camera: Camera, small: Camera) -> NDArray[np.uint8]:
        image, alpha = render_with_alpha(self._coarse, small)
        far = super().behind(camera, small.width, small.height, torch.device("cpu")).numpy()
        whole = (image + (1 - alpha)[..., None] * far).clip(0, 1)
        return np.asarray(np.rint(255 * whole), np.uint8)


@dataclass(frozen=True)
class Behind:
    """Ground and sky, and the function that draws them behind the trained Gaussians. For a block, the coarse model is
    in front of them, and `gains` are the exposures of its training photos relative to the flight's mean; relative to
    each block's own mean, the blocks would differ in brightness.
    """

    surroundings: Surroundings
    backdrop: Backdrop
    gains: dict[str, Float64] | None


def _read_coarse(folder: Path, part: Part, scene: Scene) -> Behind:
    """The coarse model in `folder`, as it lies behind a block. Raises StageError(INVALID_SCENE)."""
    try:
        coarse = read_stored_ply(folder / "scene.ply", centre=False).gaussians  # about the same offset as `scene`
        surroundings = read_surroundings(folder / "surroundings.json")
        photos = json.loads((folder / "result.json").read_bytes())["metrics"]["exposure"]["photos"]
        known = {photo["name"]: np.array(photo["gain"], dtype=np.float64) for photo in photos}
    except (InvalidSplatError, InvalidSceneError, OSError, ValueError, KeyError, TypeError) as error:
        raise StageError(ErrorCode.INVALID_SCENE, f"the coarse model cannot be read ({error})") from error
    behind = ~part.trains(coarse.means.astype(np.float64) + np.array(scene.offset))
    gains = {photo.name: known[photo.name] for photo in scene.split("train") if photo.name in known}
    return Behind(surroundings, CoarseBackdrop(surroundings, coarse.select(behind)), gains)


def _in_world(positions: NDArray[np.floating], scene: Scene) -> Float64:
    """Positions (N, 3) in the frame of training, in the world."""
    frame = scene.frame
    return np.asarray(frame.centre + frame.scale * positions.astype(np.float64) + np.array(scene.offset))
