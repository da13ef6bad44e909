"""The SOG file: as specified, read back bit for bit, and a malformed one raises nothing but a coded error."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.encode.compress import read_verified
from compressor.encode.encoder import Coarseness, arrange, quantise
from compressor.encode.harmonics import quantise_harmonics
from compressor.sog.codes import Codes, same_codes
from compressor.sog.container import META, pack_files, read_codes, zip_files
from compressor.sog.decoder import dequantise
from compressor.sog.images import image_size, palette_image
from compressor.sog.webp import decode_webp, encode_webp
from splat.errors import InvalidSplatError
from splat.gaussians import Gaussians
from stage.errors import ErrorCode, StageError
from tests.support.splats import even_sensitivity

MakeSplat = Callable[..., Gaussians]


def encode(splat: Gaussians, coarseness: Coarseness = Coarseness(palette_size=32)) -> Codes:  # noqa: B008 - frozen
    arranged, even = arrange(splat), even_sensitivity(len(splat))
    return quantise(arranged, even, coarseness, quantise_harmonics(arranged, even, coarseness.palette_size))


def is_splat(sog: bytes) -> bool:
    """Fails for any exception other than a refusal's."""
    try:
        dequantise(read_codes(sog))
    except InvalidSplatError:
        return False
    return True


@pytest.fixture(scope="module")
def sog(make_splat: MakeSplat) -> bytes:
    return zip_files(pack_files(encode(make_splat(120, 1))))


@settings(deadline=None, max_examples=25)
@given(
    count=st.integers(1, 90),
    degree=st.integers(0, 3),
    seed=st.integers(0, 1000),
    coarseness=st.builds(
        Coarseness,
        lambda_=st.floats(0, 2),
        palette_size=st.integers(1, 100),
    ),
)
def test_whatever_is_written_reads_back_the_same(
    make_splat: MakeSplat, count: int, degree: int, seed: int, coarseness: Coarseness
) -> None:
    codes = encode(make_splat(count, degree, seed), coarseness)
    assert same_codes(read_codes(zip_files(pack_files(codes))), codes)


def test_the_finest_steps_keep_a_splat(make_splat: MakeSplat) -> None:
    back, splat = dequantise(encode(make_splat(300, 3), Coarseness())), arrange(make_splat(300, 3))
    assert np.abs(back.means - splat.means).max() < 1e-4
    assert np.abs(back.scales - splat.scales).max() < 0.02
    assert np.abs(back.sh0 - splat.sh0).max() < 0.02
    assert np.abs(back.shN - splat.shN).max() < 0.02
    assert np.abs(1 / (1 + np.exp(-back.opacities)) - 1 / (1 + np.exp(-splat.opacities))).max() < 0.503 / 255


def test_the_zip_is_flat_with_stored_images_and_ends_with_its_directory(sog: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(sog)) as archive:
        infos = archive.infolist()
    assert not any("/" in info.filename for info in infos)
    assert [info.filename for info in infos if info.compress_type != zipfile.ZIP_STORED] == [META]
    assert sog[-22:-18] == b"PK\x05\x06"


def test_meta_says_what_the_specification_wants(sog: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(sog)) as archive:
        meta = json.loads(archive.read(META))
        sizes = {name: decode_webp(archive.read(name)).shape for name in archive.namelist() if name != META}
    assert meta["version"] == 2
    assert meta["count"] == 120
    assert meta["means"]["files"] == ["means_l.webp", "means_u.webp"]
    assert {len(meta[part]["codebook"]) for part in ("scales", "sh0", "shN")} == {256}
    assert (meta["shN"]["count"], meta["shN"]["bands"]) == (32, 1)
    assert sizes.pop("shN_centroids.webp") == (1, 64 * 3, 4)
    assert set(sizes.values()) == {(12, 12, 4)}


@settings(deadline=None)
@given(st.integers(1, 3_000_000))
def test_images_hold_every_gaussian_in_multiples_of_four(count: int) -> None:
    width, height = image_size(count)
    assert width % 4 == height % 4 == 0
    assert count <= width * height < count + 4 * width + 1
    assert abs(width - height) <= 4


def test_vector_n_of_the_palette_lies_where_readers_look() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (130, 15, 3), dtype=np.uint8)
    image = palette_image(codes)
    for n in (0, 63, 64, 129):
        assert np.array_equal(image[n // 64, (n % 64) * 15 : (n % 64 + 1) * 15], codes[n])


def test_webp_keeps_colours_under_no_opacity() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    pixels[..., 3] = 0
    assert np.array_equal(decode_webp(encode_webp(pixels)), pixels)


def test_equal_content_makes_equal_files(make_splat: MakeSplat) -> None:
    assert zip_files(pack_files(encode(make_splat(64)))) == zip_files(pack_files(encode(make_splat(64))))


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_a_splat(sog: bytes, data: st.DataObject) -> None:
    damaged = bytearray(sog)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(sog) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(sog)))
    for candidate in (bytes(damaged), sog[:cut]):
        assert is_splat(candidate) in (True, False)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"count": 10**12},
        {"count": 500},
        {"count": -1},
        {"count": "many"},
        {"means": {"mins": [0, 0, 1e9], "maxs": [1, 1, 1], "files": ["means_l.webp", "means_u.webp"]}},
        {"means": {"mins": [0, 0], "maxs": [1, 1], "files": ["means_l.webp", "means_u.webp"]}},
        {"scales": {"codebook": [1.0] * 255, "files": ["scales.webp"]}},
        {"scales": {"codebook": [1.0] * 256, "files": ["nowhere.webp"]}},
        {"quats": {"files": ["means_l.webp"]}, "count": 120},
        {"shN": {"count": 1, "bands": 3, "codebook": [0.0] * 256, "files": ["shN_centroids.webp", "shN_labels.webp"]}},
        {"shN": {"count": 32, "bands": 2, "codebook": [0.0] * 256, "files": ["shN_centroids.webp", "shN_labels.webp"]}},
    ],
)
def test_a_false_meta_is_refused(sog: bytes, change: dict[str, object]) -> None:
    with zipfile.ZipFile(io.BytesIO(sog)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files[META] = json.dumps({**json.loads(files[META]), **change}).encode()
    if "quats" in change:  # an image without tags in its alpha channel
        files["means_l.webp"] = encode_webp(np.zeros((12, 12, 4), dtype=np.uint8))
    with pytest.raises(InvalidSplatError, match="not a readable SOG file"):
        read_codes(zip_files(files))


def test_decoding_follows_the_specifications_arithmetic(make_splat: MakeSplat) -> None:
    codes = encode(make_splat(5, 0))
    one = replace(
        codes,
        mins=np.array([-1.0, 0.0, 0.0]),
        maxs=np.array([1.0, 2.0, 0.0]),
        means=np.array([[0, 65535, 7]], dtype=np.uint16),
        quats=np.array([[255, 0, 128, 254]], dtype=np.uint8),
        scales=np.array([[0, 1, 2]], dtype=np.uint8),
        colours=np.array([[0, 1, 2, 51]], dtype=np.uint8),
    )
    splat = dequantise(one)
    span = 7 / 65535  # a flat axis has an extent of one unit
    assert splat.means[0] == pytest.approx([1 - np.e, np.exp(2) - 1, np.exp(span) - 1], rel=1e-6)
    half = np.sqrt(0.5)
    assert splat.quats[0] == pytest.approx([half, -half, 0, 0.5 / 255 * np.sqrt(2)], abs=1e-6)
    assert splat.scales[0].tolist() == codes.scale_codebook[:3].tolist()
    assert splat.opacities[0] == pytest.approx(np.log(0.2 / 0.8), rel=1e-6)


def test_a_truncated_directory_is_refused() -> None:
    with pytest.raises(InvalidSplatError, match="not a readable SOG file"):
        read_codes(struct.pack("<I", 0x06054B50) + bytes(18))


@pytest.mark.parametrize("fault", ["cut short", "another splat"])
def test_a_written_file_that_does_not_read_back_is_an_internal_error(make_splat: MakeSplat, fault: str) -> None:
    codes, other = encode(make_splat(60, 1)), encode(make_splat(60, 1), Coarseness(palette_size=8))
    sog = zip_files(pack_files(codes))
    assert same_codes(read_verified(sog, codes), codes)
    written = sog[:-40] if fault == "cut short" else zip_files(pack_files(other))
    with pytest.raises(StageError, match="does not read back") as caught:
        read_verified(written, codes)
    assert caught.value.code is ErrorCode.INTERNAL
