"""gsplat's own Python on CPU tensors: its CUDA kernels are replaced by its own torch reference and a plain per-pixel
blend.

What gsplat's `rasterization()` and strategies do around their kernels is the released code: argument checks, shapes,
the order of axes, which gradients are kept. A kernel that is not replaced here raises instead of being compiled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

_MIN_ALPHA, _MAX_ALPHA, _MIN_TRANSMITTANCE = 1 / 255, 0.999, 1e-4


@contextmanager
def gsplat_on_cpu() -> Iterator[None]:
    """gsplat on one thread inside the block: for tiny pictures, more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        drive_on_cpu(patch)
        yield
    torch.set_num_threads(threads)


def drive_on_cpu(patch: pytest.MonkeyPatch) -> None:
    """Replace gsplat's kernels while `patch` is active. Skips the test if gsplat is not installed."""
    backend = ModuleType("gsplat.cuda._backend")
    backend._C = None  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "gsplat.cuda._backend", backend)
    gsplat = pytest.importorskip("gsplat")
    from gsplat import rendering
    from gsplat.cuda import _torch_impl as reference
    from gsplat.strategy import ops

    kernels = Kernels(reference)
    patch.setattr(rendering, "fully_fused_projection", kernels.project)
    patch.setattr(rendering, "spherical_harmonics", kernels.harmonics)
    patch.setattr(gsplat, "spherical_harmonics", kernels.harmonics)
    patch.setattr(rendering, "isect_tiles", kernels.tiles)
    patch.setattr(rendering, "isect_offset_encode", kernels.tile_offsets)
    patch.setattr(rendering, "rasterize_to_pixels", kernels.blend)
    patch.setattr(ops, "quat_scale_to_covar_preci", kernels.covariances)
    patch.setattr(ops, "compute_relocation", relocation)


class Kernels:
    """Stand-ins with the signatures of gsplat's wrappers, for one camera and unpacked tensors."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference
        self._radii = self._depths = torch.zeros(0)

    def project(
        self, means: Tensor, covars: Tensor | None, quats: Tensor, scales: Tensor, viewmats: Tensor, Ks: Tensor,
        width: int, height: int, *, eps2d: float, packed: bool, near_plane: float, far_plane: float,
        radius_clip: float, sparse_grad: bool, calc_compensations: bool, camera_model: str, opacities: Tensor,
    ) -> Any:  # fmt: skip
        assert covars is None
        assert not packed
        covariances = self.covariances(quats, scales, compute_preci=False)[0]
        return self._reference._fully_fused_projection(
            means, covariances, viewmats, Ks, width, height, eps2d=eps2d, near_plane=near_plane, far_plane=far_plane,
            calc_compensations=calc_compensations, camera_model=camera_model,
        )  # fmt: skip

    def covariances(
        self, quats: Tensor, scales: Tensor, compute_covar: bool = True, compute_preci: bool = True, triu: bool = False
    ) -> Any:
        return self._reference._quat_scale_to_covar_preci(quats, scales, compute_covar, compute_preci, triu)

    def harmonics(self, degree: int, dirs: Tensor, coeffs: Tensor, masks: Tensor | None = None) -> Tensor:
        assert coeffs.shape[:-2] == dirs.shape[:-1]
        colours = self._reference._spherical_harmonics(degree, torch.nn.functional.normalize(dirs, dim=-1), coeffs)
        return colours if masks is None else torch.where(masks[..., None], colours, torch.zeros_like(colours))

    def tiles(self, means2d: Tensor, radii: Tensor, depths: Tensor, *_: Any, **__: Any) -> tuple[Tensor, ...]:
        self._radii, self._depths = radii, depths
        return radii[..., 0], torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int32)

    def tile_offsets(self, _ids: Tensor, images: int, width: int, height: int) -> Tensor:
        return torch.zeros(images, height, width, dtype=torch.int32)

    def blend(
        self, means2d: Tensor, conics: Tensor, colors: Tensor, opacities: Tensor, width: int, height: int, tile: int,
        offsets: Tensor, flatten_ids: Tensor, backgrounds: Tensor | None = None, packed: bool = False,
        absgrad: bool = False,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Front to back at every pixel; `means2d.absgrad` is the sum over pixels of absolute gradients."""
        drawn = (self._radii > 0).all(dim=-1)[0]
        order = torch.argsort(self._depths[0])
        order = order[drawn[order]]
        rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        centres = means2d[0, order].expand(height, width, len(order), 2)
        if absgrad and centres.requires_grad:
            centres.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: self._keep(means2d, order, gradient.abs().sum(dim=(0, 1)))
            )
        offset = torch.stack([columns, rows], dim=-1)[:, :, None] - centres
        conic, x, y = conics[0, order], offset[..., 0], offset[..., 1]
        exponent = 0.5 * (conic[:, 0] * x**2 + conic[:, 2] * y**2) + conic[:, 1] * x * y
        alpha = torch.clamp(opacities[0, order] * torch.exp(-exponent), max=_MAX_ALPHA)
        alpha = torch.where((exponent >= 0) & (alpha >= _MIN_ALPHA), alpha, torch.zeros_like(alpha))
        after = torch.exp(torch.cumsum(torch.log1p(-alpha), dim=-1))
        kept = (after > _MIN_TRANSMITTANCE).float()
        before = torch.cat([torch.ones_like(after[..., :1]), after[..., :-1]], dim=-1)
        weight = alpha * before * kept
        return (weight @ colors[0, order])[None], weight.sum(dim=-1)[None, ..., None]

    @staticmethod
    def _keep(means2d: Tensor, order: Tensor, gradient: Tensor) -> None:
        means2d.absgrad = torch.zeros_like(means2d)  # type: ignore[attr-defined]
        means2d.absgrad[0, order] = gradient  # type: ignore[attr-defined]


def relocation(opacities: Tensor, scales: Tensor, ratios: Tensor, binoms: Tensor) -> tuple[Tensor, Tensor]:
    """Opacities (N,) and scales (N, 3) of the Gaussians that replace one; `ratios` (N,): how many replace it.

    Kheradmand et al. 2024, "3D Gaussian Splatting as Markov Chain Monte Carlo", equation 9.
    """
    counts = ratios.clamp(1, len(binoms)).long()
    new = 1 - (1 - opacities) ** (1 / counts)
    spread = torch.zeros_like(opacities)
    for row, count in enumerate(counts.tolist()):
        for i in range(1, count + 1):
            for k in range(i):
                spread[row] += binoms[i - 1, k] * (-1) ** k / (k + 1) ** 0.5 * new[row] ** (k + 1)
    return new, (opacities / spread)[:, None] * scales
