"""Where scenery stands in a benchmark's scene, whose place on Earth is not looked at."""

from __future__ import annotations

from trainer.dataset import Scene
from trainer.farfield import FarField
from trainer.photo_store import PhotoStore
from trainer.surroundings import scene_surroundings


def far_field(scene: Scene, store: PhotoStore) -> FarField:
    """As the stage finds it of a scene that is not georeferenced."""
    return FarField.of(scene_surroundings(scene, store, z_up=False), scene.positions, scene.frame)
