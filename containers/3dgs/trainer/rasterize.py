"""The differentiable rasterisers: our own numba kernels on the CPU, gsplat on CUDA.

Both draw by the same rules (EWA with 0.3 pixels² of blur, near plane 0.01, alpha between 1/255 and 0.999, harmonics
along the ray to the camera), and both take the raw parameters of an INRIA PLY: logarithms of the scales and logits of
the opacities are undone inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from splat.blending import blend, blend_backward
from splat.projection import BLUR, NEAR, packed_matrices, project, project_backward
from splat.tiles import tile_lists

_BLACK = np.zeros(3, np.float32)


@dataclass(frozen=True)
class RasterInfo:
    """By-products: which Gaussians were in the picture (N,), and the tensor that receives the gradient with respect to
    their centres.
    """

    visible: Tensor
    means2d: Tensor  # .grad of shape (N, 2) or (1, N, 2)

    @property
    def centre_gradients(self) -> Tensor:
        """(N, 2) gradient of the loss with respect to the projected centres in pixels; call after the backward pass."""
        gradient = self.means2d.grad
        if gradient is None:
            raise ValueError("no backward pass has run")
        return gradient.reshape(-1, 2)

    @property
    def absolute_centre_gradients(self) -> Tensor:
        """(N, 2) the same with the absolute value of each pixel's contribution; exists if `absgrad` was requested."""
        absolute: Tensor = self.means2d.absgrad  # type: ignore[attr-defined]
        return absolute.reshape(-1, 2)


def rasterize(
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
    sh_degree: int,
) -> tuple[Tensor, Tensor, RasterInfo]:
    """Draw N Gaussians over black.

    Parameters
    ----------
    means: (N, 3) float32, centres in the frame of `viewmat`; like the five after it on the CPU, and differentiable.
    quats: (N, 4), rotations as wxyz quaternions of any length but 0.
    scales: (N, 3), natural logarithms of the standard deviations along the rotated axes, in the unit of `means`.
    opacities: (N,), logits.
    sh0: (N, 3), the constant harmonic: colour = 0.2821 · sh0 + 0.5.
    shN: (N, C, 3), the further harmonics, of which the first (sh_degree + 1)² - 1 count.
    viewmat: (4, 4), world to camera (x right, y down, z ahead), on the CPU, without a gradient.
    K: (3, 3), pinhole matrix in pixels, the centre of the upper left pixel at (0.5, 0.5), on the CPU.
    width, height: size of the picture in pixels, 1 or more.
    sh_degree: 0 to 3.

    Returns the picture (height, width, 3) in the photos' colour space, not clamped; alpha (height, width) from 0 to 1;
    and the by-products that densification reads.

    Source: Kerbl et al. 2023, "3D Gaussian Splatting for Real-Time Radiance Field Rendering"; rules of gsplat 1.5.
    """
    means2d = torch.zeros(means.shape[0], 2, requires_grad=torch.is_grad_enabled())
    view = packed_matrices(viewmat.double().numpy(), K.double().numpy())
    image, alpha, visible = _Rasterize.apply(  # type: ignore[no-untyped-call]
        means, quats, scales, opacities, sh0, shN, means2d, view, width, height, sh_degree
    )
    return image, alpha, RasterInfo(visible, means2d)


class _Rasterize(torch.autograd.Function):
    """Projection, tiles and blending; the gradient with respect to the projected centres is returned as that of the
    unused input `means2d`.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        *tensors, _, view, width, height, degree = inputs
        arrays = [tensor.detach().contiguous().numpy() for tensor in tensors]
        means, quats, scales, opacities, sh0, shN = arrays
        projected = project(means, quats, scales, opacities, sh0, shN, view, width, height, degree)
        lists = tile_lists(projected.footprints, projected.depths, width, height)
        image, transmittance = blend(projected, lists, _BLACK, width, height)
        visible = torch.from_numpy(projected.depths > 0)
        ctx.mark_non_differentiable(visible)
        ctx.saved = (arrays, view, width, height, degree, projected, lists, image, transmittance)
        return torch.from_numpy(image), torch.from_numpy(1 - transmittance), visible

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        arrays, view, width, height, degree, projected, lists, image, transmittance = ctx.saved
        g_image, g_alpha = (gradient.contiguous().numpy() for gradient in gradients[:2])
        flat = blend_backward(projected, lists, image, transmittance, g_image, g_alpha)
        means, quats, scales, opacities, _, shN = arrays
        raw = project_backward(means, quats, scales, opacities, shN, view, width, height, degree, projected, flat)
        outputs = (raw.means, raw.quats, raw.scales, raw.opacities, raw.sh0, raw.shN, flat.centres)
        return (*(torch.from_numpy(output) for output in outputs), None, None, None, None)


def rasterize_gsplat(
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
    sh_degree: int,
    *,
    absgrad: bool = False,
) -> tuple[Tensor, Tensor, RasterInfo]:
    """`rasterize` by gsplat, every tensor on its device.

    Colours are evaluated here, because gsplat's own evaluation inverts the view matrix on the device and waits to learn
    whether that succeeded. Its tile sorting still waits for the number of tiles, once per picture.
    """
    import gsplat  # its first kernel builds or loads CUDA code, so only where CUDA is

    if len(means) == 0:  # gsplat wants at least one
        none = torch.zeros(0, 2, device=means.device, requires_grad=torch.is_grad_enabled())
        none.absgrad = none  # type: ignore[attr-defined]
        black = none.sum() + torch.zeros(height, width, 3, device=means.device)
        return black, black[..., 0], RasterInfo(none[:, 0] > 0, none)
    rotation, translation = viewmat[:3, :3], viewmat[:3, 3]
    position = -(translation @ rotation)
    coefficients = torch.cat([sh0[:, None], shN], dim=1)
    colours = torch.clamp_min(gsplat.spherical_harmonics(sh_degree, means - position, coefficients) + 0.5, 0)
    images, alphas, by_products = gsplat.rasterization(
        means,
        quats,
        torch.exp(scales),
        torch.sigmoid(opacities),
        colours,
        viewmats=viewmat[None],
        Ks=K[None],
        width=width,
        height=height,
        near_plane=float(NEAR),
        eps2d=float(BLUR),
        packed=False,
        absgrad=absgrad,
    )
    means2d = by_products["means2d"]
    if means2d.requires_grad:
        means2d.retain_grad()
    radii = by_products["radii"].reshape(means.shape[0], -1)
    return images[0], alphas[0, ..., 0], RasterInfo((radii > 0).all(dim=1), means2d)
