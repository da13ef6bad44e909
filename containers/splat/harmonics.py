"""Real spherical harmonics up to degree 3, in the sign convention of the INRIA reference implementation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splat.kernels import ZERO, Scalar, kernel

Float32 = NDArray[np.float32]

SH_C0 = np.float32(0.28209479177387814)
_C1 = np.float32(0.4886025119029199)
_C20 = np.float32(1.0925484305920792)
_C21 = np.float32(0.31539156525252005)
_C22 = np.float32(0.5462742152960396)
_C30 = np.float32(0.5900435899266435)
_C31 = np.float32(2.890611442640554)
_C32 = np.float32(0.4570457994644658)
_C33 = np.float32(0.3731763325901154)
_C34 = np.float32(1.445305721320277)
_2 = np.float32(2)
_3 = np.float32(3)
_4 = np.float32(4)
_6 = np.float32(6)
_8 = np.float32(8)


@kernel
def sh_basis(degree: int, x: Scalar, y: Scalar, z: Scalar, basis: Float32) -> None:
    """Fill `basis[:(degree + 1)²]` with the values of the functions in the unit direction (x, y, z)."""
    basis[0] = SH_C0
    if degree < 1:
        return
    basis[1] = -_C1 * y
    basis[2] = _C1 * z
    basis[3] = -_C1 * x
    if degree < 2:
        return
    xx, yy, zz = x * x, y * y, z * z
    basis[4] = _C20 * x * y
    basis[5] = -_C20 * y * z
    basis[6] = _C21 * (_2 * zz - xx - yy)
    basis[7] = -_C20 * x * z
    basis[8] = _C22 * (xx - yy)
    if degree < 3:
        return
    basis[9] = -_C30 * y * (_3 * xx - yy)
    basis[10] = _C31 * x * y * z
    basis[11] = -_C32 * y * (_4 * zz - xx - yy)
    basis[12] = _C33 * z * (_2 * zz - _3 * xx - _3 * yy)
    basis[13] = -_C32 * x * (_4 * zz - xx - yy)
    basis[14] = _C34 * z * (xx - yy)
    basis[15] = -_C30 * x * (xx - _3 * yy)


@kernel
def sh_direction_gradient(degree: int, x: Scalar, y: Scalar, z: Scalar, w: Float32) -> tuple[Scalar, Scalar, Scalar]:
    """Gradient of `sum(w[k] * basis[k])` with respect to x, y and z, with the polynomials of `sh_basis` as `basis`."""
    gx, gy, gz = ZERO, ZERO, ZERO
    if degree > 0:
        gx, gy, gz = -_C1 * w[3], -_C1 * w[1], _C1 * w[2]
    if degree > 1:
        gx += _C20 * (y * w[4] - z * w[7]) + _2 * x * (_C22 * w[8] - _C21 * w[6])
        gy += _C20 * (x * w[4] - z * w[5]) - _2 * y * (_C22 * w[8] + _C21 * w[6])
        gz += -_C20 * (y * w[5] + x * w[7]) + _4 * _C21 * z * w[6]
    if degree > 2:
        xx, yy, zz, xy, yz, xz = x * x, y * y, z * z, x * y, y * z, x * z
        gx += _C31 * yz * w[10] - _6 * _C30 * xy * w[9] + _2 * _C32 * xy * w[11] - _6 * _C33 * xz * w[12]
        gx += -_C32 * (_4 * zz - _3 * xx - yy) * w[13] + _2 * _C34 * xz * w[14] - _3 * _C30 * (xx - yy) * w[15]
        gy += _C31 * xz * w[10] - _3 * _C30 * (xx - yy) * w[9] - _C32 * (_4 * zz - xx - _3 * yy) * w[11]
        gy += -_6 * _C33 * yz * w[12] + _2 * _C32 * xy * w[13] - _2 * _C34 * yz * w[14] + _6 * _C30 * xy * w[15]
        gz += _C31 * xy * w[10] - _8 * _C32 * yz * w[11] + _3 * _C33 * (_2 * zz - xx - yy) * w[12]
        gz += -_8 * _C32 * xz * w[13] + _C34 * (xx - yy) * w[14]
    return gx, gy, gz
