"""What a camera's automatic exposure and white balance did to each photo: a gain and an offset by colour channel.

Without it the splat must explain a brighter photo by Gaussians that only that photo sees. The gains and offsets have
zero mean over the photos, so the splat itself has the photos' mean exposure, and held-out photos are compared as they
are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_LEARNING_RATE = 1e-3


class Exposures:
    """Logarithms of the gains and offsets, (photos, 2, 3), under an Adam of their own."""

    def __init__(self, photos: int, device: torch.device) -> None:
        self.values = torch.zeros(photos, 2, 3, device=device, requires_grad=True)
        self._adam = torch.optim.Adam([self.values], lr=_LEARNING_RATE)

    def applied(self, image: Tensor, photo: int) -> Tensor:
        """The picture (height, width, 3) as the camera of `photo` would have exposed it. Differentiable."""
        gain, offset = self.values[photo]
        return torch.addcmul(offset, image, gain.exp())

    def step(self, decay: float) -> None:
        """One Adam step at a decayed rate."""
        self._adam.param_groups[0]["lr"] = _LEARNING_RATE * decay
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.values -= self.values.mean(dim=0)

    def state(self) -> dict[str, Any]:
        """All there is to save."""
        return {"values": self.values.detach(), "adam": self._adam.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        with torch.no_grad():
            self.values.copy_(state["values"])
        self._adam.load_state_dict(state["adam"])
