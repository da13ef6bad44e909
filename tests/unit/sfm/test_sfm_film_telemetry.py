"""Positions from a drone's subtitles and a film's tags, in every format that drones write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample.film import Take, subtitles
from sample.flight import Lens
from sample.geodesy import Geodetic
from sfm.film.telemetry import location_of, read_subtitles, telemetry_of
from sfm.position import GeoPosition

OLD = """1
00:00:01,000 --> 00:00:02,000
HOME(8.5300,47.3600) 2017.08.05 14:11:51
GPS(8.5306,47.3612,17) BAROMETER:36.2
ISO:100 Shutter:640 EV: Fnum:2.2

2
00:00:02,000 --> 00:00:03,000
HOME(8.5300,47.3600) 2017.08.05 14:11:52
GPS(8.5308,47.3616,17) BAROMETER:36.4
ISO:100 Shutter:640 EV: Fnum:2.2
"""


def test_the_new_form_is_read_frame_by_frame_with_altitude_and_lens() -> None:
    take = Take.steady(640, 2.0, 10)
    places = [Geodetic(47.0 + 1e-5 * k, -8.0 - 2e-5 * k, 500.0 + k) for k in range(20)]
    found = telemetry_of(read_subtitles(subtitles(take, places, Lens())))
    assert found.focal_35mm == Lens().focal_35mm
    for seconds, place in zip(take.times, places, strict=True):
        position = found.position_at(seconds)
        assert position is not None
        assert position.latitude == pytest.approx(place.latitude, abs=1e-6)
        assert position.longitude == pytest.approx(place.longitude, abs=1e-6)
        assert position.altitude == pytest.approx(place.altitude, abs=1e-2)


def test_the_old_form_has_longitude_first_and_is_interpolated_between_its_seconds() -> None:
    found = telemetry_of(read_subtitles(OLD))
    middle = found.position_at(1.5)
    assert middle is not None
    assert [middle.latitude, middle.longitude] == pytest.approx([47.3614, 8.5307])
    assert middle.altitude is None


def test_the_form_within_films_is_read() -> None:
    line = "F/2.8, SS 206.14, ISO 150, EV 0, GPS (-122.3699, 37.8166, 15), D 224.48m, H 3.30m, H.S 0.00m/s, V.S 0.00m/s"
    assert telemetry_of([(0.0, line)]).position_at(0.0) == GeoPosition(37.8166, -122.3699, None)


def test_early_firmware_writes_longtitude_altitude_and_tenths() -> None:
    line = "[fnum : 280] [focal_len : 240] [latitude : -33.608553] [longtitude : 151.963763] [altitude: 42.697998]"
    found = telemetry_of([(0.0, line)])
    assert found.position_at(0.0) == GeoPosition(-33.608553, 151.963763, 42.697998)
    assert found.focal_35mm == 24.0


@pytest.mark.parametrize("altitude", ["4294967.295", "65535.0", "-32768.0"])
def test_an_altitude_that_cannot_be_is_none(altitude: str) -> None:
    sign = "" if altitude.startswith("-") else "+"
    assert location_of({"location": f"+47.0000+008.0000{sign}{altitude}/"}) == GeoPosition(47.0, 8.0, None)
    line = f"[latitude: 47.0] [longitude: 8.0] [rel_alt: 30.0 abs_alt: {altitude}]"
    assert telemetry_of([(0.0, line)]).position_at(0.0) == GeoPosition(47.0, 8.0, None)


def test_a_place_that_is_written_for_many_frames_is_one_measurement() -> None:
    """Receivers measure a few times a second, and the drone flies on between two measurements."""
    lines = [(k / 10, f"[latitude: {47 + (k // 5) * 1e-4:.6f}] [longitude: 8.0]") for k in range(15)]
    position = telemetry_of(lines).position_at(0.25)
    assert position is not None
    assert position.latitude == pytest.approx(47 + 0.5e-4)


def test_no_place_is_guessed_far_from_any_fix() -> None:
    lines = [(0.0, "[latitude: 47.0] [longitude: 8.0]"), (60.0, "[latitude: 47.1] [longitude: 8.0]")]
    found = telemetry_of(lines)
    assert found.position_at(30.0) is None
    assert found.position_at(63.0) is None


def test_across_the_date_line_the_way_is_the_short_one() -> None:
    lines = [(0.0, "[latitude: 0.5] [longitude: 179.9999]"), (1.0, "[latitude: 0.5] [longitude: -179.9999]")]
    position = telemetry_of(lines).position_at(0.5)
    assert position is not None
    assert abs(position.longitude) == pytest.approx(180.0)


@pytest.mark.parametrize(
    "line",
    ["", "GPS(,,)", "[latitude: 0.0] [longitude: 0.0]", "[latitude: 95] [longitude: 8]", "GPS(200.0,47.0,3)", "hello"],
)
def test_lines_without_a_fix_give_none(line: str) -> None:
    assert telemetry_of([(0.0, line)]).position_at(0.0) is None


@given(st.text(max_size=300))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    telemetry_of([*read_subtitles(text), (0.0, text)]).position_at(0.0)


def test_the_place_of_a_whole_film() -> None:
    assert location_of({"location": "+47.3612+008.5306+512.000/"}) == GeoPosition(47.3612, 8.5306, 512.0)
    assert location_of({"com.apple.quicktime.location.iso6709": "-33.8688+151.2093/"}) == GeoPosition(
        -33.8688, 151.2093, None
    )
    assert location_of({"location": "somewhere"}) is None
    assert location_of({}) is None
