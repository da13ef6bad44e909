"""Positions on the ellipsoid in a local east-north-up frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfm.geodesy import LocalFrame
from sfm.position import GeoPosition


def test_one_second_of_latitude_and_longitude() -> None:
    # arcs of the meridian and the parallel at 45° N by the radii of curvature, 6367.382 km and 6388.838 km · cos 45°
    frame = LocalFrame(45.0, 7.0, 0.0)
    north = frame.to_enu(GeoPosition(45 + 1 / 3600, 7.0, 0.0))
    east = frame.to_enu(GeoPosition(45.0, 7 + 1 / 3600, 0.0))
    np.testing.assert_allclose(north, [0, 30.8699, 0], atol=2e-3)
    np.testing.assert_allclose(east, [21.9019, 0, 0], atol=2e-3)


@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(-100, 4000), st.floats(-90, 90))
def test_altitude_is_up_everywhere(latitude: float, longitude: float, altitude: float, rise: float) -> None:
    frame = LocalFrame(latitude, longitude, altitude)
    np.testing.assert_allclose(frame.to_enu(GeoPosition(latitude, longitude, altitude + rise)), [0, 0, rise], atol=1e-6)


def test_distances_agree_with_the_straight_line() -> None:
    frame = LocalFrame(46.8, -92.0, 190.0)
    p, q = GeoPosition(46.801, -92.002, 200.0), GeoPosition(46.799, -91.999, 180.0)
    other = LocalFrame(46.79, -92.01, 0.0)
    assert np.linalg.norm(frame.to_enu(p) - frame.to_enu(q)) == pytest.approx(
        float(np.linalg.norm(other.to_enu(p) - other.to_enu(q)))
    )


def test_a_missing_altitude_is_the_frames_own() -> None:
    frame = LocalFrame(10.0, 20.0, 77.0)
    assert math.isclose(frame.to_enu(GeoPosition(10.0, 20.0, None))[2], 0.0, abs_tol=1e-9)


def test_the_frame_stands_at_the_median_and_across_the_date_line() -> None:
    positions = [GeoPosition(0.0, 179.9, 10.0), GeoPosition(1.0, -179.9, None), GeoPosition(2.0, -179.8, 30.0)]
    frame = LocalFrame.about(positions)
    assert frame.latitude == 1.0
    assert frame.longitude == pytest.approx(-179.9)
    assert frame.altitude == 20.0
