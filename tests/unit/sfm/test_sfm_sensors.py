"""Sensor sizes by camera name, for photos whose EXIF has the focal length only in millimetres."""

from __future__ import annotations

import io
import math

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from sfm.exif import Metadata, focal_in_pixels, read_metadata
from sfm.sensors import sensor_diagonal_mm


@pytest.mark.parametrize(
    ("make", "model", "diagonal"),
    [
        ("DJI", "FC6310", math.hypot(13.2, 8.8)),
        ("Hasselblad", "L1D-20c", math.hypot(13.2, 8.8)),
        ("DJI", "FC7203", math.hypot(6.17, 4.55)),
        ("SONY", "ILCE-6000", 28.21),  # 23.5 × 15.6 mm, from lensfun's database
        ("Canon", "Canon EOS 5D Mark III", 43.27),
    ],
)
def test_known_cameras(make: str, model: str, diagonal: float) -> None:
    assert sensor_diagonal_mm(make, model) == pytest.approx(diagonal, rel=0.01)


@pytest.mark.parametrize(("make", "model"), [("", ""), ("Nobody", "Nothing 1"), ("\0", "?")])
def test_unknown_cameras_have_none(make: str, model: str) -> None:
    assert sensor_diagonal_mm(make, model) is None


def test_millimetres_over_the_sensor_are_the_last_resort() -> None:
    assert focal_in_pixels({37386: 8.8}, "", 5472, 3648, lambda: 15.86) == pytest.approx(3650, rel=0.01)
    # the photo's own 35 mm equivalent
    assert focal_in_pixels({37386: 8.8, 41989: 24}, "", 5472, 3648, lambda: 99.0) == pytest.approx(3648, rel=0.01)


def test_a_photo_without_35_mm_equivalent_gets_its_focal_length_by_its_camera() -> None:
    exif = Image.Exif()
    exif.update({271: "DJI", 272: "FC6310"})
    exif.get_ifd(0x8769)[37386] = IFDRational(88, 10)
    assert metadata(exif).focal == pytest.approx(8.8 / 15.86 * math.hypot(600, 400), rel=0.01)


def test_parrots_camera_angles_are_read() -> None:
    packet = '<rdf:Description drone-parrot:CameraPitchDegree="-80.5" drone-parrot:CameraRollDegree="1.5"/>'
    gimbal = metadata(Image.Exif(), packet.encode()).gimbal
    assert gimbal is not None
    assert (gimbal.pitch, gimbal.roll) == (-80.5, 1.5)


def metadata(exif: Image.Exif, xmp: bytes = b"") -> Metadata:
    stream = io.BytesIO()
    Image.new("RGB", (600, 400)).save(stream, "JPEG", exif=exif, xmp=xmp)
    with Image.open(stream) as image:
        return read_metadata(image)
