"""The ground and sky that the page draws behind the splat, as training and scoring see them behind each photo.

A splat is trained over the same background that it is shown over. Trained over black, shadows become slightly
transparent, so that the page's ground brightens them; and Gaussians are spent on a sky that the page draws anyway, and
hang as fog in other views.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from splat.bounded import Bounded
from splat.camera import Camera
from splat.gaussians import Float32
from splat.surroundings import Surroundings, background

LONG_EDGE = 200  # pixels at which it is drawn: it is smooth, and full size would cost a step a third more
_CACHE_BYTES = 64 << 20


class Backdrop:
    """What lies behind a scene, for cameras in its world; `long_edge`: pixels at which it is drawn."""

    long_edge = LONG_EDGE

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._small = Bounded[Float32](_CACHE_BYTES, lambda picture: picture.nbytes)

    def behind(self, camera: Camera, width: int, height: int, device: torch.device) -> Tensor:
        """(height, width, 3), 0..1, of `camera`'s picture at that size."""
        key = (camera.world_to_camera.tobytes(), camera.intrinsics.tobytes(), camera.width, camera.height)
        tiny = camera.scaled(min(1.0, LONG_EDGE / max(camera.width, camera.height)))
        small = self._small.get(key, lambda: background(self._surroundings, tiny))
        planes = torch.from_numpy(small).to(device).permute(2, 0, 1)[None]
        return interpolate(planes, (height, width), mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
