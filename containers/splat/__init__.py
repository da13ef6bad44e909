"""Gaussian splats without torch: parameters, PLY files, cameras, and a CPU rasteriser in numba."""
