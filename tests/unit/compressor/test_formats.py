"""Splats in formats other than PLY: read as their writers meant them, or refused by the format's name."""

from __future__ import annotations

import contextlib
import gzip
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compressor.deliver.spz import FixedPoint
from compressor.encode.encoder import Coarseness, arrange, quantise
from compressor.encode.harmonics import quantise_harmonics
from compressor.formats.dot_splat import read_dot_splat
from compressor.formats.reading import read_splat
from compressor.sog.container import pack_files, unpack_files, zip_files
from compressor.sog.decoder import dequantise
from compressor.source import read_source
from splat.errors import InvalidSplatError
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians, opacity_of
from splat.harmonics import SH_C0
from splat.stored import Marks
from stage.errors import ErrorCode, StageError
from tests.support.foreign_splats import dot_splat, packed_ply
from tests.support.splats import even_sensitivity

MakeSplat = Callable[..., Gaussians]
UP = (0.6, 0.0, 0.8)


def alike(one: Gaussians, other: Gaussians) -> float:
    """The largest distance between unit rotations; q and −q are the same rotation."""
    a, b = (quats / np.linalg.norm(quats, axis=1, keepdims=True) for quats in (one.quats, other.quats))
    return float(np.abs(np.abs((a * b).sum(axis=1)) - 1).max())


def test_rotations_of_spz_version_2_are_three_bytes(tmp_path: Path, make_splat: MakeSplat) -> None:
    splat = make_splat(50, 0)
    unit = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
    unit *= np.where(unit[:, :1] < 0, -1, 1)
    FixedPoint.of(splat, antialiased=False).write_legacy(tmp_path / "3.spz")
    raw = gzip.decompress((tmp_path / "3.spz").read_bytes())
    head = struct.pack("<4sI", b"NGSP", 2)
    rotations = np.rint((unit[:, 1:] + 1) * 127.5).astype(np.uint8)
    (tmp_path / "2.spz").write_bytes(gzip.compress(head + raw[8 : 16 + 50 * 16] + rotations.tobytes()))
    found = read_splat(tmp_path / "2.spz").gaussians
    np.testing.assert_allclose(found.quats[:, 1:], unit[:, 1:], atol=1.01 / 255)
    np.testing.assert_array_equal(found.means, read_splat(tmp_path / "3.spz").gaussians.means)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_sog_reads_as_it_was_written_with_its_marks(tmp_path: Path, make_splat: MakeSplat, degree: int) -> None:
    arranged, even = arrange(make_splat(80, degree)), even_sensitivity(80)
    codes = quantise(arranged, even, Coarseness(palette_size=32), quantise_harmonics(arranged, even, 32))
    for marks in (Marks(), Marks(True, UP, (500000.0, 5200000.0, 0.0))):
        (tmp_path / "upload").write_bytes(zip_files(pack_files(codes, marks)))
        stored = read_splat(tmp_path / "upload")
        assert stored.marks == marks
        for name in ("means", "quats", "scales", "opacities", "sh0", "shN"):
            np.testing.assert_array_equal(getattr(stored.gaussians, name), getattr(dequantise(codes), name))


@pytest.mark.parametrize(
    ("meta", "expected"),
    [({"model": "antialiased"}, True), ({"antialias": True}, True), ({"model": "2dgs"}, False), ({}, False)],
)
def test_the_mark_of_a_sog_is_read_in_both_spellings(
    tmp_path: Path, make_splat: MakeSplat, meta: dict[str, object], expected: bool
) -> None:
    arranged, even = arrange(make_splat(20, 0)), even_sensitivity(20)
    files = pack_files(quantise(arranged, even, Coarseness(), None))
    written = json.loads(files["meta.json"])
    del written["antialias"]
    files["meta.json"] = json.dumps({**written, **meta}).encode()
    (tmp_path / "a.sog").write_bytes(zip_files(files))
    assert read_splat(tmp_path / "a.sog").marks.antialiased is expected


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("colour_range", [True, False])
def test_a_compressed_ply_reads_as_it_was_written(
    tmp_path: Path, make_splat: MakeSplat, degree: int, colour_range: bool
) -> None:
    splat = make_splat(600, degree)
    splat = replace(splat, sh0=np.clip(splat.sh0, -1.7, 1.7))
    (tmp_path / "a.compressed.ply").write_bytes(packed_ply(splat, colour_range=colour_range))
    stored = read_splat(tmp_path / "a.compressed.ply")
    found = stored.gaussians
    assert stored.marks.antialiased
    assert not stored.plain
    assert np.abs(found.means - splat.means).max() <= 4.1 / 1023 / 2
    assert np.abs(found.scales - splat.scales).max() <= 2.2 / 1023 / 2
    assert alike(found, splat) < 1e-5
    assert np.abs(opacity_of(found.opacities) - opacity_of(splat.opacities)).max() <= 0.51 / 255
    assert np.abs(found.sh0 - splat.sh0).max() <= 4 / 255 / 2
    assert found.shN.shape == (600, HIGHER_COEFFICIENTS[degree], 3)
    assert np.abs(found.shN - splat.shN).max(initial=0) <= 8 / 256


@pytest.mark.parametrize("suffix", [".splat", ""])
def test_a_dot_splat_reads_as_it_was_written(tmp_path: Path, make_splat: MakeSplat, suffix: str) -> None:
    splat = make_splat(70, 0)
    shades = np.column_stack([np.clip(0.5 + SH_C0 * splat.sh0, 0, 1), opacity_of(splat.opacities)])
    (tmp_path / f"upload{suffix}").write_bytes(dot_splat(splat))
    source = read_source(tmp_path, tmp_path / "scratch")
    found = source.gaussians
    np.testing.assert_array_equal(found.means, splat.means)
    np.testing.assert_allclose(found.scales, splat.scales, atol=1e-6)
    assert alike(found, splat) < 1e-3
    assert np.abs(opacity_of(found.opacities) - shades[:, 3]).max() <= 0.51 / 255
    assert np.abs(SH_C0 * found.sh0 + 0.5 - shades[:, :3]).max() <= 0.51 / 255


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, make_splat: MakeSplat) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    splat, even = arrange(make_splat(40, 1)), even_sensitivity(40)
    spz = FixedPoint.of(splat, antialiased=False)
    spz.write_legacy(folder / "a.spz")
    spz.write(folder / "b.spz")
    codes = quantise(splat, even, Coarseness(palette_size=8), quantise_harmonics(splat, even, 8))
    return {
        "a.spz": (folder / "a.spz").read_bytes(),
        "b.spz": (folder / "b.spz").read_bytes(),
        "a.sog": zip_files(pack_files(codes)),
        "a.ply": packed_ply(splat),
        "a.splat": bytes(range(1, 33)) * 4,
    }


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_refused_or_still_a_splat(
    files: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    damaged = bytearray(files[name])
    if name == "a.spz":
        damaged = bytearray(gzip.decompress(damaged))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, 40) | st.integers(0, len(damaged) - 1)) % len(damaged)] = data.draw(
            st.integers(0, 255)
        )
    del damaged[data.draw(st.integers(0, len(damaged)) | st.just(len(damaged))) :]
    (tmp_path / name).write_bytes(gzip.compress(damaged) if name == "a.spz" else damaged)
    with contextlib.suppress(InvalidSplatError):
        assert len(read_splat(tmp_path / name).gaussians) > 0


def test_what_is_no_splat_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.spz").write_bytes(struct.pack("<4sIIBBBB", b"NGSP", 3, 1, 0, 12, 0, 0) + bytes(20))
    with pytest.raises(InvalidSplatError, match="version 3 has another compression"):
        read_splat(tmp_path / "a.spz")
    (tmp_path / "b.spz").write_bytes(gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 9, 1, 0, 12, 0, 0) + bytes(20)))
    with pytest.raises(InvalidSplatError, match="version 9"):
        read_splat(tmp_path / "b.spz")


def test_a_header_that_promises_too_much_takes_no_memory(tmp_path: Path) -> None:
    bomb = struct.pack("<4sIIBBBB", b"NGSP", 3, 4_000_000_000, 3, 12, 0, 0) + bytes(1000)
    (tmp_path / "a.spz").write_bytes(gzip.compress(bomb))
    with pytest.raises(InvalidSplatError, match="4000000000 points"):
        read_splat(tmp_path / "a.spz")


def test_more_gaussians_than_are_compressed_are_refused_by_their_number(tmp_path: Path, make_splat: MakeSplat) -> None:
    many = 20_000_001
    with (tmp_path / "a.splat").open("wb") as file:
        file.truncate(many * 32)
    with pytest.raises(InvalidSplatError, match="20000001 Gaussians of at most 20000000"):
        read_dot_splat(tmp_path / "a.splat")
    arranged, even = arrange(make_splat(80, 0)), even_sensitivity(80)
    files = pack_files(quantise(arranged, even, Coarseness(), quantise_harmonics(arranged, even, 32)))
    files["meta.json"] = json.dumps({**json.loads(files["meta.json"]), "count": many}).encode()
    with pytest.raises(ValueError, match="count 20000001, at most 20000000"):
        unpack_files(files)


def test_the_fourth_degree_of_an_spz_is_left_out(tmp_path: Path) -> None:
    count = 10
    coefficients = np.random.default_rng(0).integers(0, 256, (count, 24, 3), np.uint8)
    body = struct.pack("<4sIIBBBB", b"NGSP", 3, count, 4, 12, 0, 0) + bytes(count * 9) + b"\xff" * count
    body += bytes([128] * 3 * count) + bytes([100] * 3 * count) + struct.pack("<I", 3 << 30) * count
    (tmp_path / "a.spz").write_bytes(gzip.compress(body + coefficients.tobytes()))
    found = read_splat(tmp_path / "a.spz")
    assert found.dropped_degrees
    np.testing.assert_allclose(found.gaussians.shN, coefficients[:, :15] / 128 - 1, atol=1e-6)


def test_a_stream_that_would_unpack_to_more_than_its_points_is_refused(tmp_path: Path, make_splat: MakeSplat) -> None:
    FixedPoint.of(make_splat(5, 0), antialiased=False).write(tmp_path / "a.spz")
    whole = bytearray((tmp_path / "a.spz").read_bytes())
    bomb = zstandard.ZstdCompressor().compress(bytes(10**8))
    packed, _ = struct.unpack_from("<QQ", whole, 32)
    struct.pack_into("<QQ", whole, 32, len(bomb), 45)
    streams = 32 + 5 * 16
    (tmp_path / "a.spz").write_bytes(bytes(whole[:streams]) + bomb + bytes(whole[streams + packed :]))
    with pytest.raises(InvalidSplatError, match="does not match the number of points"):
        read_splat(tmp_path / "a.spz")


def test_a_format_inside_a_zip_is_found(tmp_path: Path, make_splat: MakeSplat) -> None:
    FixedPoint.of(make_splat(7, 0), antialiased=False).write_legacy(tmp_path / "a.spz")
    upload = tmp_path / "in"
    upload.mkdir()
    with zipfile.ZipFile(upload / "upload.zip", "w") as archive:
        archive.write(tmp_path / "a.spz", "my scene/a.spz")
    assert len(read_source(upload, tmp_path / "scratch").gaussians) == 7
    with zipfile.ZipFile(upload / "upload.zip", "a") as archive:
        archive.write(tmp_path / "a.spz", "my scene/b.spz")
    with pytest.raises(StageError) as caught:
        read_source(upload, tmp_path / "again")
    assert caught.value.code is ErrorCode.INVALID_SPLAT
