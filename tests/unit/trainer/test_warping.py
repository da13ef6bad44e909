"""The kernels of virtual views compared with slow, obvious twins in float64."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from splat.camera import Camera, look_at
from tests.unit.trainer.surfaces import grid
from trainer.stereo import warping
from trainer.stereo.geometry import pair_warp
from trainer.stereo.virtual import Cover


def small_scene(seed: int) -> tuple[Camera, list[Camera], NDArray[np.float32], NDArray[np.bool_]]:
    """A view and three maps of 16 by 12 pixels, with noise for depths, a tenth unknown."""
    rng = np.random.default_rng(seed)
    cameras = [camera.resized(16, 12) for camera in grid(1, 3)]
    eye = rng.uniform((-0.5, -0.5, 0.6), (0.5, 0.5, 1.3))
    view = look_at(eye, rng.uniform(-0.2, 0.2, 3) * (1, 1, 0), (0, 1, 0), width=20, height=14)
    maps = (1 / rng.uniform(0.9, 1.1, (3, 12, 16))).astype(np.float32)
    return view, cameras, maps, rng.random((3, 12, 16)) < 0.9


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_depths_are_entered_as_a_slow_twin_enters_them(seed: int) -> None:
    view, cameras, maps, known = small_scene(seed)
    buffer = np.zeros((14, 20), np.float32)
    matrix, shift = pair_warp(cameras[0], view)
    size = view.fx / cameras[0].fx
    warping.add_depths(maps[0], known[0], matrix.astype(np.float32), shift.astype(np.float32), np.float32(size), buffer)
    slow, doubtful = np.zeros((14, 20)), np.zeros((14, 20), bool)
    for row, column in zip(*np.nonzero(known[0]), strict=True):
        rho = float(maps[0, row, column])
        place = cameras[0].unproject(np.array([[column + 0.5, row + 0.5]]), np.array([1 / rho]))
        (pixel,), (depth,) = view.project(place)
        half = max(0.5, min(4.0, 0.5 * size / (depth * rho)))
        for i in range(14):
            for j in range(20):
                away = max(abs(j + 0.5 - pixel[0]), abs(i + 0.5 - pixel[1])) - half
                doubtful[i, j] |= abs(away) < 1e-3
                if away < 0:
                    slow[i, j] = max(slow[i, j], 1 / depth)
    assert doubtful.mean() < 0.2
    np.testing.assert_allclose(buffer[~doubtful], slow[~doubtful], rtol=1e-4)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_gaps_are_closed_as_a_slow_twin_closes_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    buffer = np.where(rng.random((11, 13)) < rng.uniform(0.2, 1), rng.uniform(0.9, 1.1, (11, 13)), 0).astype(np.float32)
    closed = np.empty_like(buffer)
    warping.close_gaps(buffer, np.float32(0.03), closed)
    for row in range(11):
        for column in range(13):
            around = buffer[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            values = np.sort(around[around > 0])
            if len(values) < 10:
                assert closed[row, column] == 0
                continue
            median, own = values[len(values) // 2], buffer[row, column]
            assert closed[row, column] == (median if own < np.float32(0.97) * median else own)


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_what_lies_beneath_the_cover_is_hidden_as_a_slow_twin_hides_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    up = rng.normal(size=3)
    up /= np.linalg.norm(up)
    scattered = rng.uniform(-0.6, 0.6, (400, 3))
    cover, margin = Cover.of(scattered, up, 0.1), 0.02
    eye = rng.uniform(-1, 1, 3) + 1.2 * up
    camera = look_at(eye, rng.uniform(-0.2, 0.2, 3), up, width=12, height=9)
    depths = rng.uniform(0.5, 1.2, (9, 12)) * np.linalg.norm(eye)
    inverse = (1 / depths).astype(np.float32)
    cover.hide(inverse, camera, margin)
    tops, compared = dict[tuple[int, int], float](), 0
    local = scattered @ cover.axes.T
    for place in local:
        cell = tuple(np.floor((place[:2] - cover.corner) / 0.1).astype(int))
        tops[cell] = max(tops.get(cell, -np.inf), place[2])
    np.testing.assert_allclose(local[:, :2].min(axis=0), cover.corner)
    for row, column in np.ndindex(9, 12):
        place = camera.unproject(np.array([[column + 0.5, row + 0.5]]), depths[[row], [column]])[0]
        start, ray = cover.axes @ place, cover.axes @ (eye - place)
        level, hidden, clear = np.hypot(*ray[:2]), False, True
        clear &= abs(level / 0.1 - round(level / 0.1)) > 1e-3
        for step in range(3, int(level / 0.1)):
            at = start + step * 0.1 / level * ray
            place_in = (at[:2] - cover.corner) / 0.1
            top = tops.get(tuple(np.floor(place_in).astype(int)), -np.inf)
            clear &= min(abs(place_in - place_in.round())) > 1e-3 and abs(top - at[2] - margin) > 1e-4
            hidden |= top > at[2] + margin
        if clear:
            compared += 1
            assert (inverse[row, column] == 0) == hidden
    assert compared > 50


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_colours_are_blended_as_a_slow_twin_blends_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    view, cameras, maps, known = small_scene(seed)
    maps = np.where(known, maps, 0).astype(np.float32)
    inverse = (1 / rng.uniform(0.9, 1.1, (14, 20)) * (rng.random((14, 20)) < 0.9)).astype(np.float32)
    pictures = rng.integers(0, 255, (3, 24, 32, 3), dtype=np.uint8)
    gains = rng.uniform(0.5, 2, (3, 3)).astype(np.float32)
    pairs = [pair_warp(view, camera) for camera in cameras]
    centres = np.array([view.rotation @ camera.position + view.translation for camera in cameras])
    colours, shown = np.zeros((14, 20, 3), np.float32), np.zeros((14, 20), bool)
    tolerance = 0.05
    warping.blend(
        inverse, np.array([view.fx, view.fy], np.float32), np.array([view.cx, view.cy], np.float32),
        np.array([pair[0] for pair in pairs], np.float32), np.array([pair[1] for pair in pairs], np.float32),
        centres.astype(np.float32), maps, pictures, gains, np.float32(tolerance), colours, shown,
    )  # fmt: skip
    compared = 0
    for row, column in np.ndindex(14, 20):
        if inverse[row, column] == 0:
            assert not shown[row, column]
            continue
        place = view.unproject(np.array([[column + 0.5, row + 0.5]]), 1 / inverse[[row], [column]].astype(float))[0]
        found, clear = [], True
        for k, camera in enumerate(cameras):
            (pixel,), (depth,) = camera.project(place[None])
            edges = [pixel[0], 16 - pixel[0], pixel[1], 12 - pixel[1], 2 * pixel[0] - 0.5, 31.5 - 2 * pixel[0],
                     2 * pixel[1] - 0.5, 23.5 - 2 * pixel[1]]  # fmt: skip
            clear &= min(abs(edge) for edge in edges) > 1e-3 and min(abs(pixel - pixel.round())) > 1e-3
            if min(edges) <= 0:
                continue
            theirs = float(maps[k, int(pixel[1]), int(pixel[0])])
            if theirs == 0:
                continue
            difference = abs(1 / (depth * theirs) - 1)
            clear &= abs(difference - tolerance) > 1e-4
            if difference <= tolerance:
                a, b = place - view.position, place - camera.position
                angle = np.arccos(min(1, a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
                found.append(((angle + 0.02) ** -4, bilinear(pictures[k], 2 * pixel) / gains[k]))
        if clear:
            compared += 1
            assert shown[row, column] == bool(found)
            if found:
                expected = sum(w * c for w, c in found) / sum(w for w, _ in found)
                np.testing.assert_allclose(colours[row, column], expected, rtol=2e-3, atol=0.05)
    assert compared > 100


def bilinear(picture: NDArray[np.uint8], pixel: NDArray[np.float64]) -> NDArray[np.float64]:
    (x, y), (left, top) = pixel - 0.5, np.floor(pixel - 0.5).astype(int)
    corners = picture[top : top + 2, left : left + 2].astype(float)
    down, along = np.array([top + 1 - y, y - top]), np.array([left + 1 - x, x - left])
    return np.asarray(np.einsum("i,j,ijc->c", down, along, corners))
