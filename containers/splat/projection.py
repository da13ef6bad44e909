"""Project 3D Gaussians to 2D: EWA projection and view-dependent colour in one pass, their gradients in another.

Zwicker et al., EWA Splatting, 2002. The conventions (blur, clamps, near plane, alpha threshold) are those of gsplat, so
that both rasterisers draw the same picture. Ye et al., Mathematical Supplement for the gsplat Library, 2023.

Input and output are float32, but the arithmetic of a Gaussian is in float64: this costs a fiftieth of a step and keeps
the gradients of flat, huge or opaque Gaussians accurate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import prange

from splat.camera import Camera
from splat.gaussians import Float32, Float64
from splat.harmonics import SH_C0, sh_basis, sh_direction_gradient
from splat.kernels import HALF, ONE, TWO, ZERO, Scalar, kernel, parallel_kernel

NEAR = np.float32(0.01)  # depth below which nothing is drawn
BLUR = np.float32(0.3)  # pixels²; added to the 2D covariance
ALPHA_THRESHOLD = np.float32(1 / 255)  # fainter Gaussians are not drawn
CLAMP = np.float32(0.15)  # the Jacobian's direction is clamped to the picture, enlarged by this share on each side
_BLOCK = 256  # Gaussians per task

# Columns of a footprint, the data of a 2D Gaussian for blending: with d = pixel - centre,
# sigma(d) = A/2 dx² + B dx dy + C/2 dy² (A, B, C: inverse covariance) and alpha = opacity * exp(-sigma).
# Where sigma > limit, alpha is below the threshold; reach x, y is half of that ellipse's bounding box.
X, Y, HALF_A, B, HALF_C, REACH_X, REACH_Y, SIGMA_LIMIT = range(8)


@dataclass(frozen=True)
class Projected:
    """N Gaussians as one camera sees them."""

    footprints: Float32  # (N, 8), columns above; zeros if not visible
    depths: Float32  # (N,) along the viewing axis; -1 if not visible
    colours: Float32  # (N, 3), clamped below at 0
    opacities: Float32  # (N,) 0..1


@dataclass(frozen=True)
class ProjectedGradients:
    """Gradients of a loss with respect to the input of blending: centres (N, 2), conics A, B, C (N, 3), colours (N, 3)
    and opacities (N,)."""

    centres: Float32
    conics: Float32
    colours: Float32
    opacities: Float32


@dataclass(frozen=True)
class GaussianGradients:
    """Gradients of a loss with respect to the raw parameters, shapes as in `Gaussians`."""

    means: Float32
    quats: Float32
    scales: Float32
    opacities: Float32
    sh0: Float32
    shN: Float32  # noqa: N815


# Slots of a `packed` camera; its rotation fills the first nine, row by row.
TRANSLATION, FX, FY, CX, CY, EYE = 9, 12, 13, 14, 15, 16


def packed(camera: Camera) -> Float64:
    """A camera as an array (19,): rotation row by row, translation, fx, fy, cx, cy, position."""
    return packed_matrices(camera.world_to_camera, camera.intrinsics)


def packed_matrices(world_to_camera: Float64, intrinsics: Float64) -> Float64:
    """`packed` for a camera given by its matrices (4, 4) and (3, 3)."""
    rotation, translation = world_to_camera[:3, :3], world_to_camera[:3, 3]
    k = (intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2])
    return np.concatenate((rotation.ravel(), translation, k, -rotation.T @ translation), dtype=np.float64)


def project(
    means: Float32,
    quats: Float32,
    scales: Float32,
    opacities: Float32,
    sh0: Float32,
    shN: Float32,
    view: Float64,
    width: int,
    height: int,
    degree: int,
    *,
    antialiased: bool = False,
) -> Projected:
    """Project raw Gaussians (shapes as in `Gaussians`) into a `packed` camera, with harmonics up to `degree`.

    `antialiased`: opacities are multiplied by √(det Σ / det(Σ + blur)), as viewers draw splats with that mark: the blur
    then spreads a thin Gaussian without making it heavier (Yu et al., Mip-Splatting, 2024).
    """
    count = means.shape[0]
    out = Projected(
        np.empty((count, 8), np.float32), np.empty(count, np.float32), np.empty((count, 3), np.float32),
        np.empty(count, np.float32),
    )  # fmt: skip
    _project(
        means, quats, scales, opacities, sh0, shN, view, width, height, degree, antialiased,
        out.footprints, out.depths, out.colours, out.opacities,
    )  # fmt: skip
    return out


def project_backward(
    means: Float32,
    quats: Float32,
    scales: Float32,
    opacities: Float32,
    shN: Float32,
    view: Float64,
    width: int,
    height: int,
    degree: int,
    projected: Projected,
    gradients: ProjectedGradients,
    *,
    antialiased: bool = False,
) -> GaussianGradients:
    """Propagate `gradients` from the 2D Gaussians back to the raw parameters; they are zero for invisible Gaussians.

    `antialiased`: as `projected` was made.
    """
    count = means.shape[0]
    out = GaussianGradients(
        means=np.empty_like(means),
        quats=np.empty_like(quats),
        scales=np.empty_like(scales),
        opacities=np.empty(count, np.float32),
        sh0=np.empty((count, 3), np.float32),
        shN=np.empty_like(shN),
    )
    _project_backward(
        means, quats, scales, opacities, shN, view, width, height, degree, antialiased,
        projected.depths, projected.colours,
        gradients.centres, gradients.conics, gradients.colours, gradients.opacities,
        out.means, out.quats, out.scales, out.opacities, out.sh0, out.shN,
    )  # fmt: skip
    return out


# Slots of the scratch array that `_local` fills for one Gaussian.
_TX, _TY, _TZ = 0, 1, 2  # centre in camera space
_DX, _DY = 3, 4  # x/z, y/z clamped
_FREE_X, _FREE_Y = 5, 6  # 1 where the clamp did not act
_QW, _QX, _QY, _QZ = 7, 8, 9, 10  # unit quaternion
_INVERSE_LENGTH = 11  # of the raw quaternion
_R = 12  # 9: rotation, row by row
_DEVIATION = 21  # 3: standard deviations
_J0 = 24  # 3: first row of Jacobian @ world-to-camera rotation
_J1 = 27  # 3: second row
_M0 = 30  # 3: _J0 @ rotation @ diag(deviation), so that covariance = M Mᵀ + blur
_M1 = 33  # 3: the same of _J1
_SCRATCH = 36


@kernel
def _local(mean: Float32, quat: Float32, scale: Float32, view: Float64, width: int, height: int, s: Float64) -> bool:
    """Fill the scratch array `s` for one Gaussian; False if it is nearer than the near plane."""
    for k in range(3):
        s[_TX + k] = (
            view[3 * k] * mean[0] + view[3 * k + 1] * mean[1] + view[3 * k + 2] * mean[2] + view[TRANSLATION + k]
        )
    if not s[_TZ] >= NEAR:
        return False
    fx, fy, cx, cy = view[FX], view[FY], view[CX], view[CY]
    inverse = ONE / s[_TZ]
    margin_x, margin_y = CLAMP * width / fx, CLAMP * height / fy
    x, y = s[_TX] * inverse, s[_TY] * inverse
    s[_DX] = min(max(x, -cx / fx - margin_x), (width - cx) / fx + margin_x)
    s[_DY] = min(max(y, -cy / fy - margin_y), (height - cy) / fy + margin_y)
    s[_FREE_X] = ONE if s[_DX] == x else ZERO
    s[_FREE_Y] = ONE if s[_DY] == y else ZERO

    w, a, b, c = np.float64(quat[0]), np.float64(quat[1]), np.float64(quat[2]), np.float64(quat[3])
    s[_INVERSE_LENGTH] = ONE / np.sqrt(max(w * w + a * a + b * b + c * c, 1e-30))
    shortening = s[_INVERSE_LENGTH]
    w, a, b, c = w * shortening, a * shortening, b * shortening, c * shortening
    s[_QW], s[_QX], s[_QY], s[_QZ] = w, a, b, c
    s[_R], s[_R + 1], s[_R + 2] = ONE - TWO * (b * b + c * c), TWO * (a * b - w * c), TWO * (a * c + w * b)
    s[_R + 3], s[_R + 4], s[_R + 5] = TWO * (a * b + w * c), ONE - TWO * (a * a + c * c), TWO * (b * c - w * a)
    s[_R + 6], s[_R + 7], s[_R + 8] = TWO * (a * c - w * b), TWO * (b * c + w * a), ONE - TWO * (a * a + b * b)
    for k in range(3):
        s[_DEVIATION + k] = np.exp(np.float64(scale[k]))
        s[_J0 + k] = fx * inverse * (view[k] - s[_DX] * view[6 + k])
        s[_J1 + k] = fy * inverse * (view[3 + k] - s[_DY] * view[6 + k])
    for k in range(3):
        s[_M0 + k] = (s[_J0] * s[_R + k] + s[_J0 + 1] * s[_R + 3 + k] + s[_J0 + 2] * s[_R + 6 + k]) * s[_DEVIATION + k]
        s[_M1 + k] = (s[_J1] * s[_R + k] + s[_J1 + 1] * s[_R + 3 + k] + s[_J1 + 2] * s[_R + 6 + k]) * s[_DEVIATION + k]
    return True


@kernel
def _covariance(s: Float64) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar]:
    """2D covariance xx, xy, yy with blur, and its determinants with and without blur.

    The determinants are computed without the cancellation in xx·yy - xy².
    """
    a0, a1, a2 = s[_M0], s[_M0 + 1], s[_M0 + 2]
    b0, b1, b2 = s[_M1], s[_M1 + 1], s[_M1 + 2]
    xx = a0 * a0 + a1 * a1 + a2 * a2
    xy = a0 * b0 + a1 * b1 + a2 * b2
    yy = b0 * b0 + b1 * b1 + b2 * b2
    c0, c1, c2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    sharp = c0 * c0 + c1 * c1 + c2 * c2
    return xx + BLUR, xy, yy + BLUR, sharp + BLUR * (xx + yy) + BLUR * BLUR, sharp


@kernel
def write_footprint(
    x: Scalar, y: Scalar, xx: Scalar, xy: Scalar, yy: Scalar, determinant: Scalar, limit: Scalar,
    width: int, height: int, footprint: Float32,
) -> bool:  # fmt: skip
    """Fill the columns (8,) of a 2D Gaussian at `x`, `y`; return False and fill nothing if it misses the picture."""
    reach_x, reach_y = np.sqrt(TWO * limit * xx), np.sqrt(TWO * limit * yy)
    if x + reach_x <= ZERO or x - reach_x >= width or y + reach_y <= ZERO or y - reach_y >= height:
        return False
    footprint[X], footprint[Y] = x, y
    footprint[HALF_A], footprint[HALF_C] = HALF * yy / determinant, HALF * xx / determinant
    footprint[B] = -xy / determinant
    footprint[REACH_X], footprint[REACH_Y], footprint[SIGMA_LIMIT] = reach_x, reach_y, limit
    return True


@kernel
def write_colour(degree: int, basis: Float32, sh0: Float32, shN: Float32, colour: Float32) -> None:
    """The colour (3,) of harmonics up to `degree` in the direction of `basis`."""
    red, green, blue = HALF + SH_C0 * sh0[0], HALF + SH_C0 * sh0[1], HALF + SH_C0 * sh0[2]
    for k in range((degree + 1) * (degree + 1) - 1):
        red += basis[k + 1] * shN[k, 0]
        green += basis[k + 1] * shN[k, 1]
        blue += basis[k + 1] * shN[k, 2]
    colour[0], colour[1], colour[2] = max(red, ZERO), max(green, ZERO), max(blue, ZERO)


@parallel_kernel
def _project(
    means: Float32, quats: Float32, scales: Float32, logits: Float32, sh0: Float32, shN: Float32,
    view: Float64, width: int, height: int, degree: int, antialiased: bool,
    footprints: Float32, depths: Float32, colours: Float32, opacities: Float32,
) -> None:  # fmt: skip
    count = means.shape[0]
    for block in prange((count + _BLOCK - 1) // _BLOCK):
        s = np.empty(_SCRATCH, np.float64)
        basis = np.empty(16, np.float32)
        for i in range(block * _BLOCK, min(count, (block + 1) * _BLOCK)):
            depths[i] = -ONE
            for k in range(8):
                footprints[i, k] = ZERO
            for c in range(3):
                colours[i, c] = ZERO
            opacity = ONE / (ONE + np.exp(-np.float64(logits[i])))
            opacities[i] = opacity
            if not opacity >= ALPHA_THRESHOLD or not _local(means[i], quats[i], scales[i], view, width, height, s):
                continue
            xx, xy, yy, determinant, sharp = _covariance(s)
            if not determinant < 1e30:  # too large for float32
                continue
            if antialiased:
                opacity *= np.sqrt(sharp / determinant)
                if not opacity >= ALPHA_THRESHOLD:
                    continue
                opacities[i] = opacity
            limit = np.log(opacity / ALPHA_THRESHOLD)
            x, y = view[FX] * s[_TX] / s[_TZ] + view[CX], view[FY] * s[_TY] / s[_TZ] + view[CY]
            if not write_footprint(x, y, xx, xy, yy, determinant, limit, width, height, footprints[i]):
                continue
            depths[i] = s[_TZ]
            dx, dy, dz = means[i, 0] - view[EYE], means[i, 1] - view[EYE + 1], means[i, 2] - view[EYE + 2]
            inverse = ONE / np.sqrt(dx * dx + dy * dy + dz * dz)
            sh_basis(degree, dx * inverse, dy * inverse, dz * inverse, basis)
            write_colour(degree, basis, sh0[i], shN[i], colours[i])


@parallel_kernel
def _project_backward(
    means: Float32, quats: Float32, scales: Float32, logits: Float32, shN: Float32,
    view: Float64, width: int, height: int, degree: int, antialiased: bool,
    depths: Float32, colours: Float32,
    g_centres: Float32, g_conics: Float32, g_colours: Float32, g_opacities: Float32,
    d_means: Float32, d_quats: Float32, d_scales: Float32, d_logits: Float32, d_sh0: Float32, d_shN: Float32,
) -> None:  # fmt: skip
    count, higher = means.shape[0], shN.shape[1]
    active = (degree + 1) * (degree + 1)
    for block in prange((count + _BLOCK - 1) // _BLOCK):
        s = np.empty(_SCRATCH, np.float64)
        basis = np.empty(16, np.float32)
        weights = np.empty(16, np.float32)
        g_j0 = np.empty(3, np.float64)
        g_j1 = np.empty(3, np.float64)
        r = np.empty(9, np.float64)  # gradient with respect to the rotation matrix
        for i in range(block * _BLOCK, min(count, (block + 1) * _BLOCK)):
            if depths[i] <= ZERO:
                d_logits[i] = ZERO
                for k in range(3):
                    d_means[i, k] = d_scales[i, k] = d_sh0[i, k] = ZERO
                for k in range(4):
                    d_quats[i, k] = ZERO
                for k in range(higher):
                    for c in range(3):
                        d_shN[i, k, c] = ZERO
                continue
            _local(means[i], quats[i], scales[i], view, width, height, s)
            fx, fy = view[FX], view[FY]
            inverse = ONE / s[_TZ]
            # the sigmoid's slope, without the cancellation in 1 - opacity
            fading = np.exp(-np.float64(abs(logits[i])))
            d_logits[i] = g_opacities[i] * fading / ((ONE + fading) * (ONE + fading))

            # inverse covariance -> covariance: dS = -S⁻¹ dS⁻¹ S⁻¹
            xx, xy, yy, determinant, sharp = _covariance(s)
            a, b, c_ = yy / determinant, -xy / determinant, xx / determinant
            ga, gb, gc = g_conics[i, 0], HALF * g_conics[i, 1], g_conics[i, 2]
            t00, t01, t10, t11 = a * ga + b * gb, a * gb + b * gc, b * ga + c_ * gb, b * gb + c_ * gc
            g_xx, g_xy, g_yy = -(t00 * a + t01 * b), -TWO * (t00 * b + t01 * c_), -(t10 * b + t11 * c_)
            if antialiased:  # opacity = sigmoid · √(sharp / determinant)
                kept = np.sqrt(sharp / determinant)
                slope = HALF * g_opacities[i] * kept / (ONE + np.exp(-np.float64(logits[i])))
                g_xx += slope * ((yy - BLUR) / sharp - a)
                g_xy -= TWO * slope * (xy / sharp + b)
                g_yy += slope * ((xx - BLUR) / sharp - c_)
                d_logits[i] *= kept

            # covariance = M Mᵀ, M = J R diag(deviation)
            for k in range(3):
                g_j0[k] = g_j1[k] = ZERO
            for k in range(3):
                m0 = TWO * g_xx * s[_M0 + k] + g_xy * s[_M1 + k]
                m1 = TWO * g_yy * s[_M1 + k] + g_xy * s[_M0 + k]
                d_scales[i, k] = m0 * s[_M0 + k] + m1 * s[_M1 + k]
                m0 *= s[_DEVIATION + k]
                m1 *= s[_DEVIATION + k]
                for row in range(3):
                    r[3 * row + k] = s[_J0 + row] * m0 + s[_J1 + row] * m1
                    g_j0[row] += s[_R + 3 * row + k] * m0
                    g_j1[row] += s[_R + 3 * row + k] * m1

            # rotation matrix -> unit quaternion -> raw quaternion
            w, x, y, z = s[_QW], s[_QX], s[_QY], s[_QZ]
            qw = TWO * (x * (r[7] - r[5]) + y * (r[2] - r[6]) + z * (r[3] - r[1]))
            qx = TWO * (y * (r[1] + r[3]) + z * (r[2] + r[6]) + w * (r[7] - r[5]) - TWO * x * (r[4] + r[8]))
            qy = TWO * (x * (r[1] + r[3]) + z * (r[5] + r[7]) + w * (r[2] - r[6]) - TWO * y * (r[0] + r[8]))
            qz = TWO * (x * (r[2] + r[6]) + y * (r[5] + r[7]) + w * (r[3] - r[1]) - TWO * z * (r[0] + r[4]))
            along = qw * w + qx * x + qy * y + qz * z
            d_quats[i, 0], d_quats[i, 1] = (qw - w * along) * s[_INVERSE_LENGTH], (qx - x * along) * s[_INVERSE_LENGTH]
            d_quats[i, 2], d_quats[i, 3] = (qy - y * along) * s[_INVERSE_LENGTH], (qz - z * along) * s[_INVERSE_LENGTH]

            # Jacobian and centre -> point in camera space
            g_tx, g_ty, g_inverse = ZERO, ZERO, ZERO
            for k in range(3):
                g_tx -= fx * inverse * g_j0[k] * view[6 + k]
                g_ty -= fy * inverse * g_j1[k] * view[6 + k]
                g_inverse += (g_j0[k] * s[_J0 + k] + g_j1[k] * s[_J1 + k]) * s[_TZ]
            g_tx = g_tx * s[_FREE_X] + g_centres[i, 0] * fx
            g_ty = g_ty * s[_FREE_Y] + g_centres[i, 1] * fy
            px, py = g_tx * inverse, g_ty * inverse
            pz = -inverse * inverse * (g_inverse + g_tx * s[_TX] + g_ty * s[_TY])

            # colour -> harmonics and viewing direction
            red = g_colours[i, 0] if colours[i, 0] > ZERO else ZERO
            green = g_colours[i, 1] if colours[i, 1] > ZERO else ZERO
            blue = g_colours[i, 2] if colours[i, 2] > ZERO else ZERO
            d_sh0[i, 0], d_sh0[i, 1], d_sh0[i, 2] = SH_C0 * red, SH_C0 * green, SH_C0 * blue
            dx, dy, dz = means[i, 0] - view[EYE], means[i, 1] - view[EYE + 1], means[i, 2] - view[EYE + 2]
            shortening = ONE / np.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = dx * shortening, dy * shortening, dz * shortening
            sh_basis(degree, dx, dy, dz, basis)
            for k in range(1, active):
                weights[k] = shN[i, k - 1, 0] * red + shN[i, k - 1, 1] * green + shN[i, k - 1, 2] * blue
                d_shN[i, k - 1, 0] = basis[k] * red
                d_shN[i, k - 1, 1] = basis[k] * green
                d_shN[i, k - 1, 2] = basis[k] * blue
            for k in range(active - 1, higher):
                d_shN[i, k, 0] = d_shN[i, k, 1] = d_shN[i, k, 2] = ZERO
            ux, uy, uz = sh_direction_gradient(degree, dx, dy, dz, weights)
            along = ux * dx + uy * dy + uz * dz

            d_means[i, 0] = view[0] * px + view[3] * py + view[6] * pz + (ux - dx * along) * shortening
            d_means[i, 1] = view[1] * px + view[4] * py + view[7] * pz + (uy - dy * along) * shortening
            d_means[i, 2] = view[2] * px + view[5] * py + view[8] * pz + (uz - dz * along) * shortening
