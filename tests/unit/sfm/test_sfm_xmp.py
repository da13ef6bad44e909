"""The XMP of photos: packets in every form, positions with a sign, angles as the makers define them."""

from __future__ import annotations

import io
import math
import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from scipy.spatial.transform import Rotation

from sfm.exif import read_metadata
from sfm.gimbal import Gimbal, gimbal_of
from sfm.gravity import up_in_camera
from sfm.position import GeoPosition, position_of
from sfm.xmp import block_of, coordinate_of, decoded, number_of, value_of, xmp_in, xmp_of

STANDARD, EXTENDED = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
DEGREES = (IFDRational(23), IFDRational(33), IFDRational(0))


def packet(body: str) -> str:
    return f'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>{body}</rdf:RDF></x:xmpmeta>'


def described(**values: str) -> str:
    return packet("<rdf:Description " + " ".join(f'drone-dji:{k}="{v}"' for k, v in values.items()) + "/>")


def jpeg(*segments: bytes) -> Image.Image:
    """A photo with these APP1 segments."""
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, "JPEG")
    plain = stream.getvalue()
    parts = b"".join(b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment for segment in segments)
    return Image.open(io.BytesIO(plain[:2] + parts + plain[2:]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_packet_is_read_in_every_encoding(encoding: str) -> None:
    text = described(GimbalPitchDegree="-89.90", GimbalRollDegree="+0.50")
    assert read_metadata(jpeg(STANDARD + text.encode(encoding))).gimbal == Gimbal(-89.9, 0.5)


@given(cut=st.integers(1, 200), encoding=st.sampled_from(["utf-8", "utf-16"]))
def test_a_packet_that_is_cut_over_segments_is_joined(cut: int, encoding: str) -> None:
    content = described(GimbalPitchDegree="-45.0", RelativeAltitude="+30.5").encode(encoding)
    cut += len(content) // 2
    image = jpeg(STANDARD + content[:cut], STANDARD + content[cut:])
    assert number_of(xmp_of(image, {}), "drone-dji:GimbalPitchDegree") == -45
    assert number_of(xmp_of(image, {}), "drone-dji:RelativeAltitude") == 30.5


def test_extended_xmp_is_read_in_the_order_of_its_offsets() -> None:
    content = described(GimbalPitchDegree="-30.0").encode()
    head = EXTENDED + b"A" * 32 + struct.pack(">I", len(content))
    late, early = head + struct.pack(">I", 90) + content[90:], head + struct.pack(">I", 0) + content[:90]
    image = jpeg(STANDARD + packet("").encode(), late, early)
    assert read_metadata(image).gimbal == Gimbal(-30, 0)


def test_two_packets_do_not_run_into_each_other() -> None:
    image = jpeg(STANDARD + packet("").encode("utf-16"), STANDARD + described(GimbalPitchDegree="-10").encode())
    assert read_metadata(image).gimbal == Gimbal(-10, 0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<a drone-dji:RelativeAltitude="+12.5"/>', 12.5),
        ("<a drone-dji:RelativeAltitude = ' -450/10 '/>", -45.0),
        ("<drone-dji:RelativeAltitude>7</drone-dji:RelativeAltitude>", 7.0),
        ("<drone-dji:RelativeAltitude><rdf:Seq><rdf:li>3.5</rdf:li></rdf:Seq></drone-dji:RelativeAltitude>", 3.5),
        ('<a drone-dji:RelativeAltitude="1e2"/>', 100.0),
        ('<a drone-dji:RelativeAltitude="1/0"/>', None),
        ('<a drone-dji:RelativeAltitude="nan"/>', None),
        ('<a drone-dji:RelativeAltitude="12 m"/>', None),
        ('<a my-drone-dji:RelativeAltitude="12"/>', None),
        ('<a drone-dji:RelativeAltitudeOf="12"/>', None),
    ],
)
def test_numbers_in_every_form(body: str, expected: float | None) -> None:
    assert number_of(body, "drone-dji:RelativeAltitude") == expected


@settings(max_examples=200)
@given(st.text(alphabet="<>/\"'= :abcdrone-jiGps0123456789.,+NSEW", max_size=300))
def test_rubbish_never_raises(text: str) -> None:
    for name in ("drone-dji:GpsLatitude", "Camera:Pitch"):
        value_of(text, name), number_of(text, name), coordinate_of(text, name), block_of(text, name)
    position_of({}, text)
    gimbal_of(text, text)
    decoded(text.encode())


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("<a:b>in</a:b>", "in"),
        ('<a:b rdf:parseType="Resource">in</a:b>', "in"),
        ('<a:b x="1"/>', ' x="1"'),
        ("<a:b/>", ""),
        ("<a:bc>in</a:bc>", ""),
        ("<a:b>in", ""),
    ],
)
def test_what_stands_inside_a_structure_is_found(text: str, block: str) -> None:
    assert block_of(text, "a:b") == block


def test_the_time_for_a_packet_grows_as_its_length() -> None:
    """A structure that was opened ten thousand times and never closed used to take hours."""

    def seconds(count: int) -> float:
        xmp = "<drone-skydio:CameraOrientationNED>" * count
        begun = time.process_time()
        gimbal_of(xmp, "")
        return time.process_time() - begun

    assert min(seconds(2_000) for _ in range(3)) < 64 * min(
        seconds(125) for _ in range(9)
    )  # 16 times as long; quadratic time would be 256 times


# ── positions


def place(gps: dict[int, object], xmp: str = "") -> GeoPosition | None:
    return position_of(gps, xmp)


@pytest.mark.parametrize(
    "refs", [{}, {1: "S"}, {3: "W"}, {1: "", 3: ""}, {1: "?", 3: "W"}, {1: b"\0", 3: "W"}], ids=str
)
def test_without_both_references_there_is_no_place(refs: dict[int, object]) -> None:
    assert place({2: DEGREES, 4: DEGREES, **refs}) is None


@pytest.mark.parametrize("refs", [{}, {1: "S"}])
@pytest.mark.parametrize("longitude", ["GpsLongitude", "GpsLongtitude", "Longitude"])
def test_signed_xmp_says_where_references_are_missing(refs: dict[int, object], longitude: str) -> None:
    xmp = described(GpsLatitude="-23.55", **{longitude: "-46.63"})
    assert place({2: DEGREES, 4: DEGREES, **refs}, xmp) == GeoPosition(-23.55, -46.63, None)


def test_references_are_read_however_they_are_written() -> None:
    for south, west in (("S", "W"), ("s\0", b"w\0"), ("South", "West")):
        found = place({1: south, 2: DEGREES, 3: west, 4: DEGREES})
        assert found is not None
        assert found.latitude == found.longitude == pytest.approx(-23.55)


def test_xmp_alone_gives_place_and_heights() -> None:
    xmp = described(GpsLatitude="+47.3", GpsLongitude="8.5", AbsoluteAltitude="+612.5", RelativeAltitude="+80.0")
    assert place({}, xmp) == GeoPosition(47.3, 8.5, 612.5, relative_altitude=80.0)
    assert place({}, described(GpsLatitude="0.0", GpsLongitude="0.0")) is None
    assert place({}, packet('<a exif:GPSLatitude="33,51.5S" exif:GPSLongitude="151,12,30E"/>')) == GeoPosition(
        -(33 + 51.5 / 60), 151 + 12 / 60 + 30 / 3600, None
    )


@pytest.mark.parametrize(
    ("reference", "sign"),
    [(0, 1), (1, -1), (b"\1", -1), (b"\1\0", -1), (b"\0\1", -1), (b"1", -1), ("1", -1), ((1, 0), -1), (3, -1),
     (2, 1), (b"\0", 1), (b"", 1), (None, 1), ("below", 1), ((), 1)],
)  # fmt: skip
def test_an_altitude_reference_may_be_malformed(reference: object, sign: int) -> None:
    found = place({1: "N", 2: DEGREES, 3: "E", 4: DEGREES, 5: reference, 6: IFDRational(101, 10)})
    assert found is not None
    assert found.altitude == pytest.approx(sign * 10.1)


def test_a_receivers_own_accuracy_is_read() -> None:
    gps: dict[int, object] = {1: "N", 2: DEGREES, 3: "E", 4: DEGREES}
    rtk = place(gps, described(RtkFlag="50", RtkStdLon="0.011", RtkStdLat="0.013", RtkStdHgt="0.025"))
    assert rtk is not None
    assert (rtk.horizontal_sigma, rtk.vertical_sigma) == (0.013, 0.025)
    phone = place({**gps, 31: IFDRational(5)})
    assert phone is not None
    assert phone.horizontal_sigma == pytest.approx(5 / math.sqrt(2))
    nothing = place(gps, described(RtkStdLon="0", RtkStdLat="0", RtkStdHgt="9999"))
    assert nothing is not None
    assert (nothing.horizontal_sigma, nothing.vertical_sigma) == (None, None)


# ── angles


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<a drone-dji:GimbalPitchDegree="-90.0" drone-dji:GimbalRollDegree="1"/>', Gimbal(-90, 1)),
        ('<a drone-autel:GimbalPitchDegree="-60"/>', Gimbal(-60, 0)),
        ('<a drone-parrot:CameraPitchDegree="-45" drone-parrot:CameraRollDegree="2"/>', Gimbal(-45, 2)),
        (
            '<drone-skydio:CameraOrientationNED rdf:parseType="Resource"><drone-skydio:Pitch>-70</drone-skydio:Pitch>'
            "<drone-skydio:Roll>0.5</drone-skydio:Roll></drone-skydio:CameraOrientationNED>",
            Gimbal(-70, 0.5),
        ),
        (
            '<drone-skydio:CameraOrientationFLU drone-skydio:Pitch="70" drone-skydio:Roll="0.5"/>',
            Gimbal(-70, 0.5),
        ),
        ('<a drone-dji:GimbalPitchDegree="-900"/>', None),
        ("", None),
    ],
)
def test_angles_of_each_maker(body: str, expected: Gimbal | None) -> None:
    assert gimbal_of(body, "") == expected


@given(pitch=st.floats(-80, 80), roll=st.floats(-40, 40), heading=st.floats(0, 360))
def test_a_vehicles_angles_give_the_same_vertical(pitch: float, roll: float, heading: float) -> None:
    found = gimbal_of(f'<a Camera:Pitch="{pitch:.9f}" Camera:Roll="{roll:.9f}"/>', "MicaSense")
    assert found is not None
    # north-east-down from forward-right-down; the camera looks down, the top of its picture is forward
    vehicle = Rotation.from_euler("ZYX", [heading, pitch, roll], degrees=True).as_matrix()
    camera = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    up = camera @ vehicle.T @ np.array([0.0, 0, -1])
    np.testing.assert_allclose(up_in_camera(found), up, atol=1e-6)


def test_sensefly_rolls_the_other_way() -> None:
    body = '<a Camera:Pitch="10" Camera:Roll="5"/>'
    one, other = gimbal_of(body, "senseFly"), gimbal_of(body.replace('"5"', '"-5"'), "MicaSense")
    assert one == other
    assert one != gimbal_of(body, "MicaSense")


def test_a_tag_of_one_number_is_no_packet() -> None:
    assert xmp_in({700: 4_000_000_000}) == ""
