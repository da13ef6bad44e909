"""The Gaussians that training starts from: dense ones from stereo, and the sparse seeds where stereo finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.spatial import cKDTree

from splat.bounded import Bounded
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians, joined, logit_of
from splat.harmonics import SH_C0
from trainer.apron import CELL, apron
from trainer.dataset import VIRTUAL_SIZE, Scene
from trainer.exposure import even_exposures
from trainer.farfield import FarField
from trainer.initialise import from_seeds, seed_points
from trainer.photo_store import PhotoStore, resized
from trainer.stereo.geometry import Float64, Floats
from trainer.stereo.maps import DepthMap, reconstruct, stereo_photos
from trainer.stereo.on_gpu import match_on
from trainer.stereo.points import PRODUCT_CELL, DensePoints, fuse, fuse_at_most, without_specks
from trainer.stereo.sweep import match_on_cpu
from trainer.stereo.virtual import Picture, PictureOf, VirtualView, virtual_views
from trainer.stops import expected_gains

DENSE_SHARE = 0.5  # of the cap: growth needs room, and all of it at the start gained nothing
_WIDTH = 0.6  # standard deviation in cells
_THICKNESS = 0.2  # along the normal, as a share of the width
_OPACITY = 0.6
_MIN_SLANT = 0.35  # below it a surface is seen too flat for its width to be known
_FILL_OPACITY = 0.2  # of sparse seeds among dense ones: at 0.1 they are dark fog beside them
_NEAR = 2.0  # spacings within which a dense seed makes a sparse one needless
_CACHE_BYTES = 128 << 20  # of photos that virtual views are made of
_APRON_WIDTH, _APRON_THICKNESS, _APRON_OPACITY = 0.7, 0.3, 0.8


@dataclass(frozen=True)
class Start:
    """What training starts from: Gaussians in its frame, the first `dense` of them from stereo; the gain (3,) of each
    training photo by name, empty where nothing could be compared; the fused points for later products; and virtual
    views to train on.
    """

    gaussians: Gaussians
    dense: int
    gains: dict[str, Float64]
    points: DensePoints
    virtual: list[VirtualView] = field(default_factory=list)


def start(
    scene: Scene,
    store: PhotoStore,
    limit: int,
    sh_degree: int,
    device: torch.device,
    far: FarField,
    after_each: Callable[[int], None] = lambda _done: None,
    gains: Mapping[str, Float64] | None = None,
) -> Start:
    """At most `limit` Gaussians, photos matched on `device`. `far`: how high scenery stands; `after_each` gets the
    number of photos matched so far; `gains`: the photos' exposures by name, where they are known; otherwise the photos
    are compared.

    Where no two photos can be matched, they are the sparse seeds alone.
    """
    photos = stereo_photos(scene, store)
    match = match_on(device) if device.type == "cuda" else match_on_cpu
    stereo = reconstruct(photos, scene.frame.points(scene.positions), match=match, after_each=after_each)
    given = {} if gains is None else dict(gains)
    if gains is None:
        gains = even_exposures(stereo, photos, expected_gains(scene.stops))
    fused = fuse(stereo, photos, PRODUCT_CELL, gains)
    product = without_specks(fused, PRODUCT_CELL, fused)
    dense, cell = fuse_at_most(stereo, photos, int(DENSE_SHARE * limit), gains)
    dense = without_specks(dense, cell, product)
    if len(dense) == 0:
        return Start(from_seeds(seed_points(scene, store, limit, far), sh_degree), 0, given, product)
    gaussians = with_gaps_filled(scene, store, dense, limit, sh_degree, far)
    edge = max(max(photo.camera.width, photo.camera.height) for photo in scene.photos)
    seen = virtual_views(stereo, product, _pictures(scene, store), gains, far.up, round(VIRTUAL_SIZE * edge))
    return Start(gaussians, len(dense), dict(gains), product, seen)


def _pictures(scene: Scene, store: PhotoStore) -> PictureOf:
    """The photos by their depth maps, in the size that is asked for."""
    photos = {photo.name: photo for photo in scene.photos}
    kept = Bounded[Picture](_CACHE_BYTES, lambda picture: picture.nbytes)

    def picture(found: DepthMap, size: tuple[int, int]) -> Picture:
        return kept.get((found.name, size), lambda: resized(store.picture(photos[found.name]), size))

    return picture


def with_gaps_filled(
    scene: Scene, store: PhotoStore, dense: DensePoints, limit: int, sh_degree: int, far: FarField
) -> Gaussians:
    """The dense seeds, then sparse seeds where no dense one is near, then the apron; at most `limit`."""
    seeds = seed_points(scene, store, limit, far)
    sparse = from_seeds(seeds, sh_degree)
    sparse = replace(sparse, opacities=np.full(len(sparse), logit_of(_FILL_OPACITY), np.float32))
    distance, _ = cKDTree(dense.positions).query(seeds.positions)
    sparse = sparse.select(distance > _NEAR * np.exp(sparse.scales[:, 0].astype(np.float64)))
    cameras = [scene.frame.camera(photo.camera) for photo in scene.split("train")]
    positions = np.concatenate([dense.positions, sparse.means.astype(np.float64)])
    colours = np.concatenate([dense.colours, sparse.sh0 * SH_C0 + 0.5]).astype(np.float64)
    around = apron(positions, colours, cameras)
    width = np.full(len(around.positions), _APRON_WIDTH * CELL)
    normals = np.repeat(around.up[None], len(width), axis=0)
    parts = [
        dense_gaussians(dense, sh_degree),
        sparse,
        flat_gaussians(around.positions, normals, around.colours, width, _APRON_THICKNESS, _APRON_OPACITY, sh_degree),
    ]
    whole = joined(parts)
    if len(whole) > limit:
        rest = np.random.default_rng(0).choice(len(whole) - len(dense), limit - len(dense), replace=False)
        whole = whole.select(np.concatenate([np.arange(len(dense)), len(dense) + np.sort(rest)]))
    return whole


def dense_gaussians(points: DensePoints, sh_degree: int) -> Gaussians:
    """As wide as their cell, thin along the normal."""
    width = _WIDTH * points.spacing / np.sqrt(np.clip(points.slant, _MIN_SLANT, 1))
    return flat_gaussians(points.positions, points.normals, points.colours, width, _THICKNESS, _OPACITY, sh_degree)


def flat_gaussians(
    positions: Floats,
    normals: Floats,
    colours: Floats,
    width: Floats,
    thickness: float,
    opacity: float,
    sh_degree: int,
) -> Gaussians:
    """Discs of standard deviations `width` (M,) across `normals` (M, 3), and `thickness` of that along them."""
    count = len(positions)
    wide = np.log(np.maximum(width, 1e-7))
    return Gaussians(
        means=positions.astype(np.float32),
        quats=turning_z_to(np.asarray(normals, dtype=np.float64)).astype(np.float32),
        scales=np.stack([wide, wide, wide + np.log(thickness)], axis=1).astype(np.float32),
        opacities=np.full(count, logit_of(opacity), dtype=np.float32),
        sh0=((colours - 0.5) / SH_C0).astype(np.float32),
        shN=np.zeros((count, HIGHER_COEFFICIENTS[sh_degree], 3), dtype=np.float32),
    )


def turning_z_to(normals: Float64) -> Float64:
    """Unit quaternions (N, 4) wxyz that turn z to unit vectors (N, 3)."""
    quats = np.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], np.zeros(len(normals))], axis=1)
    quats[normals[:, 2] < -0.9999] = (0, 1, 0, 0)
    return np.asarray(quats / np.linalg.norm(quats, axis=1, keepdims=True))
