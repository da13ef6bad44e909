"""The EXIF and XMP that the sample writes, read by other software."""

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from sample.exif import from_sexagesimal, gps_of, photo_exif, sexagesimal
from sample.flight import Lens
from sample.geodesy import Geodetic

WHEN = datetime(2024, 8, 24, 13, 42, 7, 250_000, tzinfo=UTC)


def written(place: Geodetic) -> Image.Exif:
    stream = io.BytesIO()
    exif = photo_exif(Lens(), (64, 48), place, WHEN, 3)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(stream, "JPEG", exif=exif)
    return Image.open(stream).getexif()


def test_camera_and_time_read_back() -> None:
    exif = written(Geodetic(47.3612, 8.5306, 512.0))
    details = exif.get_ifd(IFD.Exif)
    assert (exif[Base.Make], exif[Base.Model], exif[Base.Orientation]) == ("Meridian", "Swift 2", 1)
    assert float(details[Base.FocalLength]) == 12.0
    assert details[Base.FocalLengthIn35mmFilm] == 24
    assert (details[Base.ExifImageWidth], details[Base.ExifImageHeight]) == (64, 48)
    assert details[Base.DateTimeOriginal] == "2024:08:24 13:42:07"
    assert details[Base.SubsecTimeOriginal] == "250"
    gps = exif.get_ifd(IFD.GPSInfo)
    assert [float(part) for part in gps[GPS.GPSTimeStamp]] == [13, 42, 7.25]
    assert gps[GPS.GPSDateStamp] == "2024:08:24"


@pytest.mark.parametrize(
    ("place", "references"),
    [
        (Geodetic(47.3612, 8.5306, 512.0), ("N", "E", b"\x00")),
        (Geodetic(-33.9249, -70.25, -12.5), ("S", "W", b"\x01")),
    ],
)
def test_place_reads_back_with_its_references(place: Geodetic, references: tuple[str, str, bytes]) -> None:
    exif = written(place)
    gps = exif.get_ifd(IFD.GPSInfo)
    assert (gps[GPS.GPSLatitudeRef], gps[GPS.GPSLongitudeRef], bytes(gps[GPS.GPSAltitudeRef])) == references
    back = gps_of(exif)
    assert back.latitude == pytest.approx(place.latitude, abs=2e-9)
    assert back.longitude == pytest.approx(place.longitude, abs=2e-9)
    assert back.altitude == pytest.approx(place.altitude, abs=6e-4)


@given(st.floats(0, 180))
def test_sexagesimal_is_exact_and_in_range(degrees: float) -> None:
    whole, minutes, seconds = sexagesimal(degrees)
    assert 0 <= float(minutes) < 60
    assert 0 <= float(seconds) < 60
    assert from_sexagesimal((whole, minutes, seconds), "N") == pytest.approx(degrees, abs=1.5e-9)
    assert from_sexagesimal((whole, minutes, seconds), "S") == pytest.approx(-degrees, abs=1.5e-9)


def test_seconds_that_round_up_carry_over() -> None:
    assert [float(part) for part in sexagesimal(7.9999999999)] == [8, 0, 0]
