"""Find distant scenery in a benchmark's scene as in one that is not georeferenced."""

from __future__ import annotations

from trainer.dataset import Scene
from trainer.farfield import FarField
from trainer.photo_store import PhotoStore
from trainer.surroundings import scene_surroundings


def far_field(scene: Scene, store: PhotoStore) -> FarField:
    """The scenery that the stage finds for a scene that is not georeferenced."""
    return FarField.of(scene_surroundings(scene, store, z_up=False), scene.positions, scene.frame)
