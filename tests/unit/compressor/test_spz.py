"""SPZ files, decoded here independently, by the format's own documentation."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.deliver.spz import FixedPoint, fractional_bits, outliers, without_outliers
from compressor.formats.reading import read_splat
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians, opacity_of
from splat.stored import Marks
from tests.support.gaussians import gaussians_of

MakeSplat = Callable[..., Gaussians]


def legacy(data: bytes) -> bytes:
    """Version 4 as a stream of version 3: the 16 common bytes of the header, then all attributes."""
    assert data[:4] == b"NGSP"
    streams, contents = data[15], struct.unpack_from("<I", data, 16)[0]
    assert data[20:contents] == bytes(12)
    at, parts = contents + 16 * streams, [data[:15] + b"\0"]
    for number in range(streams):
        packed, whole = struct.unpack_from("<QQ", data, contents + 16 * number)
        parts.append(zstandard.ZstdDecompressor().decompress(data[at : at + packed]))
        assert len(parts[-1]) == whole > 0
        at += packed
    assert at == len(data)
    return b"".join(parts)


def decode(raw: bytes) -> tuple[dict[str, int], Gaussians]:
    magic, version, count, degree, bits, flags, _ = struct.unpack_from("<IIIBBBB", raw)
    higher = HIGHER_COEFFICIENTS[degree]
    sizes = {"positions": 9, "alphas": 1, "colours": 3, "scales": 3, "rotations": 4, "sh": 3 * higher}
    parts, at = {}, 16
    for name, size in sizes.items():
        parts[name] = np.frombuffer(raw, np.uint8, count * size, at).reshape(count, size).astype(np.int64)
        at += count * size
    assert at == len(raw)
    triples = parts["positions"].reshape(count, 3, 3)
    fixed = triples[..., 0] | triples[..., 1] << 8 | triples[..., 2] << 16
    words = parts["rotations"] @ (1 << 8 * np.arange(4))
    quats = np.zeros((count, 4))
    for i, word in enumerate(words):
        largest, rest = word >> 30, []
        for component in reversed([c for c in range(4) if c != largest]):
            code, word = word & 1023, word >> 10
            quats[i, component] = (code & 511) / 511 * np.sqrt(0.5) * (-1 if code & 512 else 1)
            rest.append(component)
        quats[i, largest] = np.sqrt(max(0.0, 1 - np.square(quats[i]).sum()))
    alphas = parts["alphas"][:, 0] / 255
    with np.errstate(divide="ignore"):
        logits = np.log(alphas / (1 - alphas))
    gaussians = gaussians_of(
        means=np.where(fixed >= 1 << 23, fixed - (1 << 24), fixed) / (1 << bits),
        quats=quats[:, [3, 0, 1, 2]],
        scales=parts["scales"] / 16 - 10,
        opacities=logits,
        sh0=(parts["colours"] / 255 - 0.5) / 0.15,
        shN=(parts["sh"] / 128 - 1).reshape(count, higher, 3),
    )
    return {"magic": magic, "version": version, "degree": degree, "flags": flags}, gaussians


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 60), degree=st.integers(0, 3), seed=st.integers(0, 99), antialiased=st.booleans())
def test_what_is_written_decodes_to_the_splat(
    tmp_path_factory: pytest.TempPathFactory,
    make_splat: MakeSplat,
    count: int,
    degree: int,
    seed: int,
    antialiased: bool,
) -> None:
    splat = make_splat(count, degree, seed)
    folder = tmp_path_factory.mktemp("spz")
    spz = FixedPoint.of(splat, antialiased=antialiased)
    spz.write_legacy(folder / "3.spz")
    spz.write(folder / "4.spz")
    raw, current = gzip.decompress((folder / "3.spz").read_bytes()), legacy((folder / "4.spz").read_bytes())
    assert (raw[4], current[4]) == (3, 4)
    assert current[16:] == raw[16:], "the versions differ in more than their packing"
    header, decoded = decode(current)
    assert header == {"magic": 0x5053474E, "version": 4, "degree": degree, "flags": int(antialiased)}
    read = [read_splat(folder / name) for name in ("3.spz", "4.spz")]
    for stored in read:
        assert stored.marks == Marks(antialiased, up=(0, 1, 0))
        assert not stored.plain
    unit = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
    for found in (decoded, *(stored.gaussians for stored in read)):
        assert np.abs(found.means - splat.means).max() <= 0.5 / 4096 + 1e-6
        assert np.abs(opacity_of(found.opacities) - 1 / (1 + np.exp(-splat.opacities))).max() <= 0.51 / 255
        assert np.abs(found.scales - splat.scales).max() <= 0.51 / 16
        assert np.abs(found.sh0 - splat.sh0).max() <= 0.51 / 255 / 0.15
        lengths = np.linalg.norm(found.quats, axis=1)
        assert np.abs(np.abs((found.quats * unit).sum(axis=1)) / lengths - 1).max() < 1e-5
        assert found.shN.shape == splat.shN.shape
        assert np.abs(found.shN - splat.shN).max(initial=0) <= 8.6 / 128


@given(st.floats(1e-3, 1e6))
def test_positions_use_the_bits_that_the_scene_leaves(extent: float) -> None:
    bits = fractional_bits(np.array([[extent, -extent / 2, 0]], dtype=np.float32))
    assert extent * 2**bits < 2**23 or bits == 0
    assert bits == 12 or extent * 2 ** (bits + 1) * 2 >= 2**23


@pytest.mark.parametrize("far", [1e5, 1e7])
def test_one_outlier_does_not_make_all_other_positions_coarse(
    tmp_path: Path, make_splat: MakeSplat, far: float
) -> None:
    splat = make_splat(2000, 0)
    splat.means[7] = [far, 0, 0]
    FixedPoint.of(without_outliers(splat), antialiased=False).write(tmp_path / "scene.spz")
    found = read_splat(tmp_path / "scene.spz").gaussians
    others = np.delete(splat.means, 7, axis=0)
    assert len(found) == 1999
    assert np.abs(found.means - others).max() <= 0.5 / 4096 + 1e-6


def test_a_far_horizon_is_kept() -> None:
    means = np.random.default_rng(0).normal(0, 30, (2000, 3)).astype(np.float32)
    means[:20] *= 100
    assert not outliers(means).any()


def test_a_failed_write_leaves_nothing_that_looks_whole(tmp_path: Path, make_splat: MakeSplat) -> None:
    (tmp_path / "scene.spz.partial").mkdir()
    spz = FixedPoint.of(make_splat(3, 0), antialiased=False)
    for write in (spz.write, spz.write_legacy):
        with pytest.raises(IsADirectoryError):
            write(tmp_path / "scene.spz")
    assert not (tmp_path / "scene.spz").exists()
