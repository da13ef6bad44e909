"""What a photo's metadata state, and which values are accepted."""

from __future__ import annotations

import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from sfm.exif import focal_in_pixels, read_metadata, stops_of
from sfm.gimbal import Gimbal
from sfm.position import GeoPosition

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description drone-dji:GimbalPitchDegree="-89.90" '
    b'drone-dji:GimbalRollDegree="+0.50"/></rdf:RDF></x:xmpmeta>'
)


def photo(
    tags: dict[int, object] | None = None,
    details: dict[int, object] | None = None,
    gps: dict[int, object] | None = None,
    xmp: bytes | None = None,
    size: tuple[int, int] = (160, 120),
) -> Image.Image:
    exif = Image.Exif()
    exif.update(tags or {})
    exif.get_ifd(0x8769).update(details or {})
    exif.get_ifd(0x8825).update(gps or {})
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, "JPEG", exif=exif, **({"xmp": xmp} if xmp else {}))
    return Image.open(io.BytesIO(stream.getvalue()))


def degrees(d: int, m: int, s: float) -> tuple[IFDRational, ...]:
    return (IFDRational(d), IFDRational(m), IFDRational(round(s * 10_000), 10_000))


def test_camera_place_time_and_gimbal_are_read() -> None:
    image = photo(
        tags={271: "DJI\0\0", 272: "FC300S"},
        details={36867: "2016:06:23 16:31:59", 37386: IFDRational(361, 100), 41989: 20, 40962: 4000},
        gps={
            1: "N",
            2: degrees(46, 50, 33.3855),
            3: "W",
            4: degrees(91, 59, 40.4156),
            5: b"\0",
            6: IFDRational(198309, 1000),
        },
        xmp=XMP,
    )
    data = read_metadata(image)
    assert (data.make, data.model, data.taken_at) == ("DJI", "FC300S", "2016:06:23 16:31:59")
    assert data.focal_tag == pytest.approx(3.61)
    assert data.position is not None
    assert data.position.latitude == pytest.approx(46 + 50 / 60 + 33.3855 / 3600)
    assert data.position.longitude == pytest.approx(-(91 + 59 / 60 + 40.4156 / 3600))
    assert data.position.altitude == pytest.approx(198.309)
    assert data.gimbal == Gimbal(-89.9, 0.5)


def test_southern_and_below_sea_level() -> None:
    gps = {1: "S", 2: degrees(10, 0, 0), 3: "E", 4: degrees(20, 30, 0), 5: b"\1", 6: IFDRational(5)}
    assert read_metadata(photo(gps=gps)).position == GeoPosition(-10.0, 20.5, -5.0)


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {1: "N", 2: degrees(0, 0, 0), 3: "E", 4: degrees(0, 0, 0)},  # a receiver without a fix
        {1: "N", 2: degrees(95, 0, 0), 3: "E", 4: degrees(10, 0, 0)},
        {1: "N", 2: degrees(45, 0, 0)},
    ],
)
def test_a_place_that_cannot_be_is_none(gps: dict[int, object]) -> None:
    assert read_metadata(photo(gps=gps)).position is None


@pytest.mark.parametrize("metres", [2**32 - 1, 65_535, 10**9])
def test_an_altitude_that_cannot_be_is_none(metres: int) -> None:
    """At such a height above the Earth, a frame would be up to hundreds of times as wide."""
    gps: dict[int, object] = {1: "N", 2: degrees(45, 0, 0), 3: "E", 4: degrees(10, 0, 0), 6: IFDRational(metres)}
    assert read_metadata(photo(gps=gps)).position == GeoPosition(45.0, 10.0, None)
    xmp = XMP.replace(b"</rdf:RDF>", b'<a drone-dji:AbsoluteAltitude="1e9"/></rdf:RDF>')
    found = read_metadata(photo(gps={tag: value for tag, value in gps.items() if tag != 6}, xmp=xmp)).position
    assert found is not None
    assert found.altitude is None or abs(found.altitude) < 1e4


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2016:06:23 16:31:59", "2016:06:23 16:31:59"),
        ("2016-06-23T16:31:59+02:00", "2016-06-23T16:31:59+02:00"),
        ("0000:00:00 00:00:00", ""),
        ("    :  :     :  :  ", ""),
        ("2016:13:45 16:31:59", ""),
        ("yesterday", ""),
    ],
)
def test_the_time_of_a_clock_that_was_never_set_is_none(written: str, read: str) -> None:
    assert read_metadata(photo(details={36867: written})).taken_at == read


def test_a_cameras_name_is_one_short_line() -> None:
    data = read_metadata(photo(tags={271: "M" * 60_000, 272: "\x1b[31mFC\n330 \0"}))
    assert (data.make, data.model) == ("M" * 100, "[31mFC330")


def test_a_place_without_altitude_is_kept() -> None:
    gps: dict[int, object] = {1: "N", 2: degrees(45, 0, 0), 3: "E", 4: degrees(10, 0, 0)}
    assert read_metadata(photo(gps=gps)).position == GeoPosition(45.0, 10.0, None)


def test_gimbal_of_a_photo_to_be_turned_is_not_believed() -> None:
    assert read_metadata(photo(tags={274: 6}, xmp=XMP)).gimbal is None


def test_gimbal_as_xml_element() -> None:
    xmp = XMP.replace(b'drone-dji:GimbalPitchDegree="-89.90"', b"").replace(
        b"</rdf:RDF>", b"<drone-dji:GimbalPitchDegree>-45.5</drone-dji:GimbalPitchDegree></rdf:RDF>"
    )
    assert read_metadata(photo(xmp=xmp)).gimbal == Gimbal(-45.5, 0.5)


@pytest.mark.parametrize(
    ("details", "stops"),
    [
        ({33434: 1 / 400, 33437: 2.0, 34855: 100}, math.log2(1 / 16)),
        ({33434: 1 / 400, 33437: 2.0, 34855: (100, 100)}, math.log2(1 / 16)),
        ({33434: 1 / 400, 33437: 2.0}, None),
        ({33434: 0, 33437: 2.0, 34855: 100}, None),
        ({33434: 1 / 400, 33437: 1e-9, 34855: 100}, None),
        ({33434: 2.0**20, 33437: 1.0, 34855: 1}, 20.0),  # the maximum that photos.json may contain
        ({33434: 2.0**21, 33437: 1.0, 34855: 1}, None),
        ({33434: "quick", 33437: 2.0, 34855: 100}, None),
        ({33434: 1 / 400, 33437: 2.0, 34855: ()}, None),
    ],
)
def test_light_is_counted_in_stops(details: dict[int, object], stops: float | None) -> None:
    found = stops_of(details)
    assert found == (None if stops is None else pytest.approx(stops))


def test_the_light_of_a_photo_is_read() -> None:
    found = read_metadata(photo(details={33434: 1 / 400, 33437: 2.0, 34855: 100})).stops
    assert found == pytest.approx(-4, abs=1e-3)


def test_focal_length_with_sensor_resolution_scales_with_the_photo() -> None:
    # 8.8 mm lens, 13.2 mm sensor 5472 pixels wide: 3648 px; the photo was resized to half
    details = {37386: 8.8, 41486: 5472 / 13.2, 41488: 4, 40962: 5472}
    assert focal_in_pixels(details, "", 5472, 3648) == pytest.approx(3648)
    assert focal_in_pixels(details, "", 2736, 1824) == pytest.approx(1824)
    assert focal_in_pixels(details, "", 1824, 2736) == pytest.approx(1824)  # rotated upright


def test_focal_length_from_the_35_mm_equivalent() -> None:
    assert focal_in_pixels({41989: 24}, "", 3000, 2000) == pytest.approx(2000)  # 36 mm correspond to 3000 px
    four_thirds = focal_in_pixels({41989: 24}, "", 4000, 3000)
    assert four_thirds == pytest.approx(24 / math.hypot(36, 24) * 5000)
    assert focal_in_pixels({41989: 24}, "", 4000, 2250) == four_thirds  # 16:9 is a crop at full width


def test_calibrated_focal_length_of_the_drone_comes_first() -> None:
    xmp = 'drone-dji:CalibratedFocalLength="3666.666504"'
    assert focal_in_pixels({41989: 24, 40962: 5472}, xmp, 2736, 1824) == pytest.approx(3666.666504 / 2)


@pytest.mark.parametrize("details", [{}, {41989: 0}, {41989: float("nan")}, {41989: 5000}, {37386: 8.8}, {41989: "x"}])
def test_no_or_absurd_focal_length_is_none(details: dict[int, object]) -> None:
    assert focal_in_pixels(details, "", 4000, 3000) is None


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of what it skips
@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=20))
def test_broken_metadata_never_raises(flips: list[tuple[int, int]]) -> None:
    stream = io.BytesIO()
    source = photo(tags={271: "DJI", 274: 1}, details={41989: 24}, gps={1: "N", 2: degrees(1, 2, 3)}, xmp=XMP)
    source.save(stream, "JPEG", exif=source.getexif(), xmp=XMP)
    data = bytearray(stream.getvalue())
    for position, value in flips:
        data[20 + position] = value
    try:
        image = Image.open(io.BytesIO(bytes(data)))
    except OSError:
        return
    read_metadata(image)
