"""The trained parameters and their Adam state, which must grow and shrink together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from splat.gaussians import Gaussians
from trainer.dataset import Frame

# Learning rates for lengths in units of the viewing distance. Twice and more those of the reference implementation:
# runs of some thousand steps end too early otherwise.
LEARNING_RATES = {"means": 4e-4, "quats": 2e-3, "scales": 1e-2, "opacities": 5e-2, "sh0": 5e-3, "shN": 2.5e-4}
_EPSILON = 1e-15


class Splats:
    """Leaf tensors by name (means, quats, scales, opacities, sh0, shN) under one Adam."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = {name: tensors[name].detach().clone().requires_grad_() for name in LEARNING_RATES}
        groups = [{"params": [self.tensors[name]], "lr": rate, "name": name} for name, rate in LEARNING_RATES.items()]
        self._adam = torch.optim.Adam(groups, eps=_EPSILON, fused=True)

    @classmethod
    def of(cls, gaussians: Gaussians, device: torch.device) -> Splats:
        return cls({name: torch.from_numpy(getattr(gaussians, name)).to(device) for name in LEARNING_RATES})

    def __len__(self) -> int:
        return int(self.tensors["means"].shape[0])

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def gaussians(self, frame: Frame) -> Gaussians:
        """The Gaussians in the world."""
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in self.tensors.items()}
        arrays["means"] = (arrays["means"].astype(np.float64) * frame.scale + frame.centre).astype(np.float32)
        arrays["scales"] = arrays["scales"] + np.float32(np.log(frame.scale))
        return Gaussians(**arrays)

    def step(self, means_decay: float, *, harmonics: bool) -> None:
        """One Adam step; the means' rate decayed, the higher harmonics left alone until they are in use."""
        if not harmonics:
            self.tensors["shN"].grad = None
        self._adam.param_groups[0]["lr"] = LEARNING_RATES["means"] * means_decay
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def limit_sizes(self, limits: Tensor) -> None:
        """Cut standard deviations to `limits` (N,), natural logarithms as `scales` are."""
        with torch.no_grad():
            torch.minimum(self.tensors["scales"], limits[:, None], out=self.tensors["scales"])

    def replace(self, keep: Tensor, added: dict[str, Tensor]) -> None:
        """Keep the Gaussians at the indices `keep` with their Adam state, and append `added` with none."""
        for group in self._adam.param_groups:
            name, old = group["name"], group["params"][0]
            new = torch.cat([old.detach()[keep], added[name]]).contiguous().requires_grad_()
            state = self._adam.state.pop(old, None)
            if state:
                for moment in ("exp_avg", "exp_avg_sq"):
                    state[moment] = torch.cat([state[moment][keep], torch.zeros_like(added[name])]).contiguous()
                self._adam.state[new] = state
            group["params"][0] = new
            self.tensors[name] = new

    def finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.tensors.values())

    def state(self) -> dict[str, Any]:
        """All there is to save."""
        return {
            "tensors": {name: tensor.detach() for name, tensor in self.tensors.items()},
            "adam": self._adam.state_dict(),
        }

    @classmethod
    def restored(cls, state: dict[str, Any], device: torch.device) -> Splats:
        splats = cls({name: tensor.to(device) for name, tensor in state["tensors"].items()})
        splats._adam.load_state_dict(state["adam"])
        return splats
