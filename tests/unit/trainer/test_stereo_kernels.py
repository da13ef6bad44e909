"""The kernels compared with slow, obvious twins in float64, and the torch solver compared with the kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.trainer.surfaces import cast, grid, ground_points, photographed
from trainer.stereo import kernels
from trainer.stereo.geometry import StereoPhoto, pair_warp
from trainer.stereo.maps import reconstruct
from trainer.stereo.on_gpu import cost_volume, match_on, semi_global, winner
from trainer.stereo.settings import SETTINGS
from trainer.stereo.sweep import Sweep, centred, stacked, window

Float64 = NDArray[np.float64]
CPU = torch.device("cpu")


def tiny_sweep(seed: int, hidden: bool = False) -> Sweep:
    """Three noisy pictures of 24 by 18 pixels from adjacent cameras; a corner of two of them is masked."""
    rng = np.random.default_rng(seed)
    cameras = [camera.resized(24, 18) for camera in grid(1, 4, step=0.15)]
    noise = rng.integers(0, 255, (18, 40)).astype(np.float64)
    noise = (noise[:, 1:] + noise[:, :-1]) / 2
    looks = []
    for number, camera in enumerate(cameras):
        grey = (noise[:, 3 * number : 3 * number + 24] + rng.normal(0, 4, (18, 24))).clip(0, 255).astype(np.uint8)
        shown = None
        if hidden and number < 2:
            shown = np.ones((18, 24), bool)
            shown[:7, 5:12] = False
        photo = photographed([camera], [replace(cast(camera), picture=grey[..., None].repeat(3, 2))], ground_points())[
            0
        ]
        looks.append(replace(photo.looks[0], shown=shown))
    warps = [pair_warp(looks[0].camera, look.camera) for look in looks[1:]]
    mean, contrast = window(looks[0])
    return Sweep(
        grey=centred(looks[0]),
        mean=mean,
        contrast=contrast,
        others=stacked(looks[1:]),
        sizes=np.array([(18, 24)] * 3, dtype=np.int64),
        matrices=np.array([matrix for matrix, _ in warps], np.float32),
        shifts=np.array([shift for _, shift in warps], np.float32),
        base=np.ones((18, 24), np.float32),
        steps=np.linspace(-0.3, 0.4, 9).astype(np.float32),
    )


def ncc(first: Float64, second: Float64) -> float:
    spread = [np.sqrt(((values - values.mean()) ** 2).mean()) + 1 for values in (first, second)]
    return float(((first * second).mean() - first.mean() * second.mean()) / spread[0] / spread[1])


def slow_cost(sweep: Sweep, k: int, y: int, x: int) -> float:
    """1 - the mean NCC of the two best sources, window by window."""
    if not (2 <= y < 16 and 2 <= x < 22):
        return 1.0
    rows, columns = np.mgrid[y - 2 : y + 3, x - 2 : x + 3]
    ref = sweep.grey[rows, columns].astype(np.float64)
    if (ref < -500).any():
        return 1.0
    scores = []
    for source in range(3):
        picture = sweep.others[source].reshape(18, 24).astype(np.float64)
        warped = []
        for row, column in zip(rows.ravel(), columns.ravel(), strict=True):
            rho = float(sweep.base[row, column]) * (1 + float(sweep.steps[k]))
            place = sweep.matrices[source].astype(np.float64) @ (column + 0.5, row + 0.5, 1)
            place = place + sweep.shifts[source].astype(np.float64) * rho
            u, v = place[0] / place[2] - 0.5, place[1] / place[2] - 0.5
            if not (0 < u < 23 and 0 < v < 17):
                break
            left, top = int(u), int(v)
            corners = picture[top : top + 2, left : left + 2]
            if (corners < -500).any():
                break
            a, b = u - left, v - top
            warped.append(np.array([1 - b, b]) @ corners @ np.array([1 - a, a]))
        if len(warped) == 25:
            scores.append(ncc(ref.ravel(), np.array(warped)))
    scores.sort(reverse=True)
    if not scores:
        return 1.0
    return 1 - (0.9 * scores[0] if len(scores) == 1 else (scores[0] + scores[1]) / 2)


def fast_cost(sweep: Sweep) -> NDArray[np.float32]:
    """(h, w, K) by the kernel."""
    volume = np.empty((len(sweep.steps), *sweep.grey.shape), np.float32)
    kernels.cost_volume(
        sweep.grey, sweep.mean, sweep.contrast, sweep.others, sweep.sizes, sweep.matrices, sweep.shifts, sweep.base,
        sweep.steps, volume,
    )  # fmt: skip
    return np.ascontiguousarray(volume.transpose(1, 2, 0))


@pytest.mark.parametrize("hidden", [False, True])
def test_costs_are_those_of_the_slow_twin(hidden: bool) -> None:
    sweep = tiny_sweep(0, hidden)
    fast = fast_cost(sweep)
    slow = np.array([[[slow_cost(sweep, k, y, x) for k in range(9)] for x in range(24)] for y in range(18)])
    # a place exactly at the edge of a source may be on either side of it
    assert (np.abs(fast - slow) < 2e-3).mean() > 0.995
    assert (slow < 0.9).mean() > 0.1


def slow_paths(cost: Float64, guide: Float64) -> Float64:
    """Hirschmüller's recursion, path by path."""
    height, width, kinds = cost.shape
    total = np.zeros_like(cost)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        path = np.zeros_like(cost)
        for y in range(height) if dy >= 0 else reversed(range(height)):
            for x in range(width) if dx >= 0 else reversed(range(width)):
                if not (0 <= y - dy < height and 0 <= x - dx < width):
                    path[y, x] = cost[y, x]
                    continue
                last = path[y - dy, x - dx]
                contrast = abs(guide[y, x] - guide[y - dy, x - dx])
                jump = max(1.5 * SETTINGS.small_jump, SETTINGS.large_jump / (1 + SETTINGS.edge * contrast))
                for k in range(kinds):
                    options = [last[k], last.min() + jump]
                    options += [last[j] + SETTINGS.small_jump for j in (k - 1, k + 1) if 0 <= j < kinds]
                    path[y, x, k] = cost[y, x, k] + min(options) - last.min()
        total += path
    return total


def fast_paths(cost: NDArray[np.float32], guide: NDArray[np.float32]) -> NDArray[np.float32]:
    total = np.zeros_like(cost)
    jumps = np.float32(SETTINGS.small_jump), np.float32(SETTINGS.large_jump), np.float32(SETTINGS.edge)
    kernels.paths_along_rows(cost, guide, *jumps, total)
    kernels.paths_along_columns(cost, guide, *jumps, total)
    return total


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 7), st.integers(2, 6), st.integers(2, 9))
def test_paths_are_those_of_the_slow_twin(seed: int, height: int, width: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.random((height, width, kinds)).astype(np.float32)
    guide = rng.integers(-128, 128, (height, width)).astype(np.float32)
    slow = slow_paths(cost.astype(np.float64), guide.astype(np.float64))
    np.testing.assert_allclose(fast_paths(cost, guide), slow, atol=1e-4)
    paths = semi_global(torch.from_numpy(cost), torch.from_numpy(guide), SETTINGS).numpy()
    np.testing.assert_allclose(paths, slow, atol=1e-4)


def test_the_winner_is_the_lowest_point_of_the_parabola() -> None:
    steps = np.linspace(-1, 1, 21).astype(np.float32)
    lowest = np.array([[0.03, -0.52, -1.0, 1.0]])
    total = ((steps - lowest[..., None]) ** 2).astype(np.float32)
    offset, score = np.empty((1, 4), np.float32), np.empty((1, 4), np.float32)
    kernels.winner(total, total, steps, offset, score)
    np.testing.assert_allclose(offset, lowest, atol=1e-4)
    np.testing.assert_allclose(score, 1 - total.min(axis=2), atol=1e-6)
    again, same = winner(torch.from_numpy(total), torch.from_numpy(total), torch.from_numpy(steps))
    np.testing.assert_allclose(again.numpy(), offset, atol=1e-5)
    np.testing.assert_allclose(same.numpy(), score, atol=1e-6)


@pytest.mark.parametrize("hidden", [False, True])
def test_torch_has_the_kernels_costs(hidden: bool) -> None:
    sweep = tiny_sweep(1, hidden)
    same = np.abs(cost_volume(sweep, CPU).numpy() - fast_cost(sweep)) < 1e-3
    assert same.mean() > 0.995


def test_torch_finds_the_same_depths() -> None:
    cameras = grid(1, 3)
    photos: list[StereoPhoto] = photographed(cameras, [cast(camera, box=True) for camera in cameras], ground_points())
    with_numba = reconstruct(photos, ground_points())
    with_torch = reconstruct(photos, ground_points(), match=match_on(CPU))
    for one, other in zip(with_numba.maps, with_torch.maps, strict=True):
        assert one is not None
        assert other is not None
        assert (one.accepted == other.accepted).mean() > 0.99
        known = one.accepted & other.accepted  # elsewhere, rounding decides
        assert (np.abs(one.inverse / other.inverse - 1)[known] < 1e-3).mean() > 0.995
