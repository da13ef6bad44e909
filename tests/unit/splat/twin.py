"""The rasteriser written slowly and obviously, in float64 torch: the reference for the kernels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, normalize

NEAR, BLUR, ALPHA_THRESHOLD, MAX_ALPHA, MIN_TRANSMITTANCE = 0.01, 0.3, 1 / 255, 0.999, 1e-4


@dataclass
class Flat:
    """2D Gaussians: centres (N, 2), covariances (N, 2, 2), depths (N,), colours (N, 3), opacities (N,)."""

    centres: Tensor
    covariances: Tensor
    depths: Tensor
    colours: Tensor
    opacities: Tensor


def rotation_matrices(quats: Tensor) -> Tensor:
    w, x, y, z = normalize(quats, dim=-1).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def harmonics(directions: Tensor) -> Tensor:
    """(N, 16) real spherical harmonics of unit directions (N, 3), INRIA's signs."""
    x, y, z = directions.unbind(-1)
    pi = torch.pi
    c = [(k / pi) ** 0.5 for k in (1 / 4, 3 / 4, 15 / 4, 5 / 16, 15 / 16, 35 / 32, 105 / 4, 21 / 32, 7 / 16, 105 / 16)]
    one = torch.ones_like(x)
    return torch.stack(
        [
            c[0] * one,
            -c[1] * y,
            c[1] * z,
            -c[1] * x,
            c[2] * x * y,
            -c[2] * y * z,
            c[3] * (3 * z * z - 1),
            -c[2] * x * z,
            c[4] * (x * x - y * y),
            -c[5] * y * (3 * x * x - y * y),
            c[6] * x * y * z,
            -c[7] * y * (5 * z * z - 1),
            c[8] * z * (5 * z * z - 3),
            -c[7] * x * (5 * z * z - 1),
            c[9] * z * (x * x - y * y),
            -c[5] * x * (x * x - 3 * y * y),
        ],
        dim=-1,
    )


def project(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    sh0: Tensor,
    shN: Tensor,
    viewmat: Tensor,
    K: Tensor,
    width: int,
    height: int,
    degree: int,
    *,
    antialiased: bool = False,
) -> Flat:
    """EWA projection of raw Gaussians; the depth of what is in front of the near plane stays below it.

    `antialiased`: opacities are lowered so that the blur keeps each Gaussian's mass.
    """
    rotation, translation = viewmat[:3, :3], viewmat[:3, 3]
    points = means @ rotation.T + translation
    x, y, depth = points.unbind(-1)
    z = torch.where(depth < NEAR, torch.full_like(depth, NEAR), depth)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    margin_x, margin_y = 0.15 * width / fx, 0.15 * height / fy
    tx = z * torch.clamp(x / z, -cx / fx - margin_x, (width - cx) / fx + margin_x)
    ty = z * torch.clamp(y / z, -cy / fy - margin_y, (height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [torch.stack([fx / z, zero, -fx * tx / z**2], -1), torch.stack([zero, fy / z, -fy * ty / z**2], -1)], dim=-2
    )
    spread = rotation_matrices(quats) * scales.exp()[:, None, :]
    flat = jacobian @ rotation @ spread
    sharp = flat @ flat.transpose(1, 2)
    covariances = sharp + BLUR * torch.eye(2, dtype=means.dtype)
    alphas = torch.sigmoid(opacities)
    if antialiased:
        # det(F Fᵀ) as the squared area that the rows of F span: what cancels in xx·yy - xy² leaves no gradient
        area = torch.linalg.cross(flat[:, 0], flat[:, 1]).norm(dim=-1)
        alphas = alphas * area / torch.linalg.det(covariances).sqrt()
    directions = normalize(means + rotation.T @ translation, dim=-1)
    coefficients = torch.cat([sh0[:, None], shN[:, : (degree + 1) ** 2 - 1]], dim=1)
    basis = harmonics(directions)[:, : (degree + 1) ** 2]
    colours = torch.clamp_min((basis[:, :, None] * coefficients).sum(1) + 0.5, 0)
    return Flat(torch.stack([fx * x / z + cx, fy * y / z + cy], -1), covariances, depth, colours, alphas)


def blend(
    centres: Tensor, conics: Tensor, depths: Tensor, colours: Tensor, opacities: Tensor, background: Tensor,
    width: int, height: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Every Gaussian over every pixel, nearest first. conics (N, 3): A, B, C of the inverse covariance."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    image = torch.zeros(height, width, 3, dtype=centres.dtype)
    left = torch.ones(height, width, dtype=centres.dtype)
    open_ = torch.ones(height, width, dtype=torch.bool)
    for i in torch.argsort(depths, stable=True).tolist():
        if depths[i] < NEAR:
            continue
        dx, dy = x - centres[i, 0], y - centres[i, 1]
        sigma = 0.5 * (conics[i, 0] * dx * dx + conics[i, 2] * dy * dy) + conics[i, 1] * dx * dy
        alpha = torch.clamp_max(opacities[i] * torch.exp(-sigma), MAX_ALPHA)
        drawn = open_ & (alpha >= ALPHA_THRESHOLD)
        after = left * (1 - alpha)
        open_ = open_ & ~(drawn & (after <= MIN_TRANSMITTANCE))
        used = drawn & (after > MIN_TRANSMITTANCE)
        image = image + torch.where(used, left * alpha, torch.zeros_like(left))[..., None] * colours[i]
        left = torch.where(used, after, left)
    return image + left[..., None] * background, 1 - left


def inverse(covariances: Tensor) -> Tensor:
    """(N, 3): A, B, C of the inverse of symmetric (N, 2, 2)."""
    a, b, c = covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]
    return torch.stack([c, -b, a], dim=-1) / (a * c - b * b)[:, None]


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean SSIM of (height, width, 3) pictures."""
    window = torch.exp(-0.5 * ((torch.arange(11, dtype=x.dtype) - 5) / 1.5) ** 2)
    window = window / window.sum()
    kernel = (window[:, None] * window[None, :]).expand(3, 1, 11, 11)
    mx, my, mxx, myy, mxy = (
        conv2d(p.permute(2, 0, 1)[None], kernel, padding=5, groups=3) for p in (x, y, x * x, y * y, x * y)
    )
    numerator = (2 * mx * my + 1e-4) * (2 * (mxy - mx * my) + 9e-4)
    return (numerator / ((mx * mx + my * my + 1e-4) * (mxx - mx * mx + myy - my * my + 9e-4))).mean()


def photometric_loss(x: Tensor, y: Tensor, weight: float) -> Tensor:
    return (1 - weight) * (x - y).abs().mean() + weight * (1 - ssim(x, y))
