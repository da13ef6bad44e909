"""The sweep solved with torch, for a GPU: the same arithmetic as the numba kernels, over whole pictures at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from trainer.stereo.geometry import Float32
from trainer.stereo.kernels import HIDDEN, RADIUS
from trainer.stereo.settings import StereoSettings
from trainer.stereo.sweep import Match, Sweep

_AT_ONCE = 16  # hypotheses: the memory of a block is some 40 numbers a pixel, hypothesis and source
_TINY = 1e-6
_ONE_SOURCE = 0.9
_UNSEEN = -2.0


def match_on(device: torch.device) -> Match:
    """A solver of sweeps on `device`."""

    def match(sweep: Sweep, settings: StereoSettings) -> tuple[Float32, Float32]:
        with torch.no_grad():
            cost = cost_volume(sweep, device)
            total = semi_global(cost, torch.from_numpy(sweep.grey).to(device), settings)
            offset, score = winner(total, cost, torch.from_numpy(sweep.steps).to(device))
            return offset.cpu().numpy(), score.cpu().numpy()

    return match


def cost_volume(sweep: Sweep, device: torch.device) -> Tensor:
    """(h, w, K): 1 - the mean NCC of the two best sources, 1 where no source sees the place."""
    names = ("grey", "mean", "contrast", "others", "matrices", "shifts", "base", "steps")
    values = {name: torch.from_numpy(getattr(sweep, name)).to(device) for name in names}
    blocks = []
    for begin in range(0, len(sweep.steps), _AT_ONCE):
        inverse = values["base"][None] * (1 + values["steps"][begin : begin + _AT_ONCE, None, None])
        first = torch.full_like(inverse, _UNSEEN)
        second = torch.full_like(inverse, _UNSEEN)
        seen = torch.zeros_like(inverse)
        for number, (height, width) in enumerate(sweep.sizes.tolist()):
            source = values["others"][number, : height * width].view(height, width)
            warped, valid = _warp(source, values["matrices"][number], values["shifts"][number], inverse)
            score, known = _correlation(warped, valid, values["grey"], values["mean"], values["contrast"])
            score = torch.where(known, score, _UNSEEN)
            second = torch.maximum(second, torch.minimum(first, score))
            first = torch.maximum(first, score)
            seen += known
        score = torch.where(seen > 1, 0.5 * (first + second), _ONE_SOURCE * first)
        blocks.append(1 - torch.where(seen > 0, score, 0))
    return torch.cat(blocks).permute(1, 2, 0).contiguous()


def _warp(source: Tensor, matrix: Tensor, shift: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """`source` (H, W) as the reference sees it at inverse depths (K, h, w), bilinear, and where it is visible."""
    height, width = source.shape
    rows, columns = inverse.shape[1:]
    x = torch.arange(columns, device=inverse.device) + 0.5
    y = torch.arange(rows, device=inverse.device)[:, None] + 0.5
    across, down, ahead = (matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] + shift[i] * inverse for i in range(3))
    share = 1 / ahead.clamp(min=_TINY)
    u, v = across * share - 0.5, down * share - 0.5
    inside = (u > 0) & (v > 0) & (u < width - 1) & (v < height - 1) & (ahead > _TINY) & (inverse > 0)
    left, top = torch.where(inside, u, 0).floor(), torch.where(inside, v, 0).floor()
    place = (top * width + left).long()
    flat = source.reshape(-1)
    a, b, c, d = flat[place], flat[place + 1], flat[place + width], flat[place + width + 1]
    visible = inside & (torch.minimum(torch.minimum(a, b), torch.minimum(c, d)) > 0.5 * float(HIDDEN))
    upper = a + (b - a) * (u - left)
    lower = c + (d - c) * (u - left)
    return torch.where(visible, upper + (lower - upper) * (v - top), 0), visible.float()


def _correlation(warped: Tensor, valid: Tensor, grey: Tensor, mean: Tensor, contrast: Tensor) -> tuple[Tensor, Tensor]:
    """NCC (K, h, w) under the window, and where the window is wholly visible in both photos."""
    size = 2 * RADIUS + 1

    def windows(values: Tensor) -> Tensor:
        return avg_pool2d(values[:, None], size, stride=1, padding=RADIUS, count_include_pad=True)[:, 0]

    average = windows(warped)
    spread = (windows(warped * warped) - average * average).clamp(min=0).sqrt() + 1
    score = (windows(warped * grey) - average * mean) * contrast / spread
    return score, (windows(valid) > 1 - 0.5 / size**2) & (contrast > 0)


def semi_global(cost: Tensor, guide: Tensor, settings: StereoSettings) -> Tensor:
    """The sum (h, w, K) of four paths' costs: along rows and columns, both ways."""
    return _both_ways(cost, guide, settings) + _both_ways(
        cost.transpose(0, 1), guide.transpose(0, 1), settings
    ).transpose(0, 1)


def _both_ways(cost: Tensor, guide: Tensor, settings: StereoSettings) -> Tensor:
    """Paths along rows: at once from the left, and from the right in the mirrored picture."""
    pair = torch.stack([cost, cost.flip(1)])
    guides = torch.stack([guide, guide.flip(1)])
    contrast = (guides[:, :, 1:] - guides[:, :, :-1]).abs()
    jumps = (settings.large_jump / (1 + settings.edge * contrast)).clamp(min=1.5 * settings.small_jump)
    path = torch.empty_like(pair)
    path[:, :, 0] = pair[:, :, 0]
    for x in range(1, pair.shape[2]):
        last = path[:, :, x - 1]
        lowest = last.amin(dim=2, keepdim=True)
        reached = torch.minimum(last, lowest + jumps[:, :, x - 1, None])
        reached[..., 1:] = torch.minimum(reached[..., 1:], last[..., :-1] + settings.small_jump)
        reached[..., :-1] = torch.minimum(reached[..., :-1], last[..., 1:] + settings.small_jump)
        path[:, :, x] = pair[:, :, x] + reached - lowest
    return path[0] + path[1].flip(1)


def winner(total: Tensor, cost: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """The best hypothesis, refined by a parabola: its offset (h, w) and NCC."""
    best = total.argmin(dim=2, keepdim=True)
    last = total.shape[2] - 1
    left, middle, right = (total.gather(2, (best + side).clamp(0, last))[..., 0] for side in (-1, 0, 1))
    best = best[..., 0]
    bend = left - middle + (right - middle)
    shift = (0.5 * (left - right) / bend.clamp(min=_TINY)).clamp(-0.5, 0.5)
    shift = torch.where((bend > _TINY) & (best > 0) & (best < last), shift, 0)
    return steps[best] + shift * (steps[1] - steps[0]), 1 - cost.gather(2, best[..., None])[..., 0]
