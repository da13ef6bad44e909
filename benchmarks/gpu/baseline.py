"""gsplat trained as its own `simple_trainer.py` does by default, with our loader and without its other dependencies.

simple_trainer itself needs AlexNet's weights, a fork of pycolmap and NumPy 1. Its loop is written out: Gaussians at the
sparse points, one Adam a parameter, L1 and 0.2 of D-SSIM without padding, one more degree of harmonics each 1,000
steps, the means' rate decayed to 1/100. Runs of other than 30,000 steps have its schedules scaled by their length.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gsplat
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from trainer.dataset import Photo, Scene
from trainer.gpu.photos import Pictures
from trainer.gpu.shots import Shot, Shots
from trainer.initialise import Seeds, from_seeds
from trainer.virtual import photo_at

STEPS = 30_000  # of simple_trainer's defaults
_DEGREE = 3
_MCMC_OPACITY, _MCMC_SCALE = 0.5, 0.1  # initial, of its `mcmc` configuration
_MCMC_WEIGHT = 0.01  # of opacities and scales in the loss


@dataclass(frozen=True)
class Trained:
    """What a run left: parameters by name, the steps it came to, its seconds."""

    parameters: Any
    steps: int
    seconds: float


class SimpleTrainer:
    """`kind`: default or mcmc, whose number of Gaussians is `cap`."""

    def __init__(self, scene: Scene, pictures: Pictures, shots: Shots, steps: int, kind: str, cap: int) -> None:
        self._photos, self._pictures, self._shots, self._steps = scene.split("train"), pictures, shots, steps
        self._mcmc, self._share = kind == "mcmc", steps / STEPS
        device = shots.of(self._photos[0], 1.0).view.device
        centres = np.stack([scene.frame.camera(photo.camera).position for photo in self._photos])
        extent = 1.1 * float(np.linalg.norm(centres - centres.mean(axis=0), axis=1).max())
        rates = {"means": 1.6e-4 * extent, "scales": 5e-3, "quats": 1e-3, "opacities": 5e-2, "sh0": 2.5e-3}
        rates["shN"] = rates["sh0"] / 20
        begun = from_seeds(Seeds(scene.frame.points(scene.positions), scene.colours / 255.0), _DEGREE)
        values = {name: torch.from_numpy(getattr(begun, name)).to(device) for name in rates}
        values["sh0"] = values["sh0"][:, None]
        if self._mcmc:
            values["opacities"] = torch.full_like(values["opacities"], math.log(_MCMC_OPACITY / (1 - _MCMC_OPACITY)))
            values["scales"] = values["scales"] + math.log(_MCMC_SCALE)
        self.parameters = torch.nn.ParameterDict({n: torch.nn.Parameter(v.contiguous()) for n, v in values.items()})
        self._optimizers = {
            name: torch.optim.Adam(
                [{"params": self.parameters[name], "lr": rate, "name": name}], eps=1e-15, fused=device.type == "cuda"
            )
            for name, rate in rates.items()
        }
        self._decay = torch.optim.lr_scheduler.ExponentialLR(self._optimizers["means"], gamma=0.01 ** (1 / steps))
        every = max(1, round(100 * min(1.0, max(self._share, 0.2))))
        common = {"refine_start_iter": round(500 * self._share), "refine_every": every, "verbose": False}
        if self._mcmc:
            stop = round(25_000 * self._share)
            self._strategy = gsplat.MCMCStrategy(cap_max=cap, refine_stop_iter=stop, **common)
            self._state = self._strategy.initialize_state()
        else:
            stop, reset = round(15_000 * self._share), max(2, round(3_000 * self._share))
            self._strategy = gsplat.DefaultStrategy(refine_stop_iter=stop, reset_every=reset, **common)
            self._state = self._strategy.initialize_state(scene_scale=extent)

    def run(self, going_on: Callable[[], bool]) -> Trained:
        """Train to the end, or until `going_on`, asked every 100 steps, says False."""
        began = time.monotonic()
        step = 0
        while step < self._steps:
            self._step(step)
            step += 1
            if step % 100 == 0 and not going_on():
                break
        synchronise(self.parameters["means"].device)
        return Trained(self.parameters, step, time.monotonic() - began)

    def _step(self, step: int) -> None:
        photo = self._photos[photo_at(step, len(self._photos), 0)]
        shot = self._shots.of(photo, 1.0)
        degree = min(_DEGREE, int(step / max(1.0, 1000 * self._share)))
        image, info = draw(self.parameters, shot, degree)
        self._strategy.step_pre_backward(self.parameters, self._optimizers, self._state, step, info)
        planes, _ = self._pictures.target(photo, shot.camera)
        rendered = image.permute(2, 0, 1)
        loss = 0.8 * (rendered - planes).abs().mean() + 0.2 * (1 - ssim(rendered, planes))
        if self._mcmc:
            opacities, scales = torch.sigmoid(self.parameters["opacities"]), torch.exp(self.parameters["scales"])
            loss = loss + _MCMC_WEIGHT * (opacities.mean() + scales.mean())
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self._optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self._decay.step()
        further = {"lr": self._decay.get_last_lr()[0]} if self._mcmc else {"packed": False}
        self._strategy.step_post_backward(self.parameters, self._optimizers, self._state, step, info, **further)


def draw(parameters: Any, shot: Shot, degree: int) -> tuple[Tensor, Any]:
    """The picture (height, width, 3) and gsplat's by-products."""
    images, _, info = gsplat.rasterization(
        parameters["means"],
        parameters["quats"],
        torch.exp(parameters["scales"]),
        torch.sigmoid(parameters["opacities"]),
        torch.cat([parameters["sh0"], parameters["shN"]], dim=1),
        viewmats=shot.view[None],
        Ks=shot.K[None],
        width=shot.camera.width,
        height=shot.camera.height,
        sh_degree=degree,
        packed=False,
    )
    return images[0], info


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of planes (3, height, width) where the whole window lies in the picture."""
    weights = torch.exp(-0.5 * ((torch.arange(11, device=x.device) - 5) / 1.5) ** 2)
    weights = weights / weights.sum()

    def mean(values: Tensor) -> Tensor:
        by_row = conv2d(values[:, None], weights[None, None, None])
        return conv2d(by_row, weights[None, None, :, None])

    mx, my = mean(x), mean(y)
    vx, vy, covariance = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean()


def psnr(images: list[tuple[Photo, Tensor]], pictures: Pictures) -> float:
    """Mean dB of pictures (height, width, 3) of photos."""
    found = []
    for photo, image in images:
        planes, _ = pictures.target(photo, photo.camera)
        error = (image.clamp(0, 1).permute(2, 0, 1) - planes).square().mean()
        found.append(float(-10 * torch.log10(error.clamp(min=1e-10))))
    return float(np.mean(found))


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
