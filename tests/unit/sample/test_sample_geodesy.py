"""Geodetic and local coordinates, converted there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample.geodesy import Geodetic, enu_to_geodetic, from_ecef, geodetic_to_enu, to_ecef

places = st.builds(
    Geodetic,
    st.floats(-89.99, 89.99),
    st.floats(-179.99, 179.99),
    st.floats(-400, 9000),
)
metres = st.floats(-5000, 5000)


def test_known_points_of_the_ellipsoid() -> None:
    assert to_ecef(Geodetic(0, 0, 0)) == pytest.approx([6378137.0, 0, 0])
    assert to_ecef(Geodetic(90, 0, 0)) == pytest.approx([0, 0, 6356752.314245], abs=1e-5)
    # EPSG Guidance Note 7-2, the worked example of method 9602: 53°48'33.820" N, 2°07'46.380" E, 73.0 m.
    example = Geodetic(53 + 48 / 60 + 33.820 / 3600, 2 + 7 / 60 + 46.380 / 3600, 73.0)
    assert to_ecef(example) == pytest.approx([3771793.968, 140253.342, 5124304.349], abs=2e-3)


@given(places)
def test_ecef_round_trip(place: Geodetic) -> None:
    back = from_ecef(to_ecef(place))
    assert back.latitude == pytest.approx(place.latitude, abs=1e-10)
    assert back.longitude == pytest.approx(place.longitude, abs=1e-10)
    assert back.altitude == pytest.approx(place.altitude, abs=1e-5)


@given(places, metres, metres, st.floats(-200, 200))
def test_enu_round_trip(origin: Geodetic, east: float, north: float, up: float) -> None:
    point = np.array([east, north, up])
    assert geodetic_to_enu(enu_to_geodetic(point, origin), origin) == pytest.approx(point, abs=1e-5)


def test_axes_point_east_north_and_up() -> None:
    origin = Geodetic(47.3612, 8.5306, 512.0)
    east = enu_to_geodetic(np.array([100.0, 0, 0]), origin)
    north = enu_to_geodetic(np.array([0, 100.0, 0]), origin)
    up = enu_to_geodetic(np.array([0, 0, 100.0]), origin)
    assert east.longitude > origin.longitude
    assert north.latitude > origin.latitude
    # A minute of latitude here is 1852.2 m, of longitude 1258.6 m (the ellipsoid's radii of curvature at 47.36° N).
    assert (north.latitude - origin.latitude) * 60 == pytest.approx(100 / 1853.2, rel=2e-3)
    assert (east.longitude - origin.longitude) * 60 == pytest.approx(100 / 1259.3, rel=2e-3)
    assert (up.latitude, up.longitude) == pytest.approx((origin.latitude, origin.longitude), abs=1e-12)
    assert up.altitude == pytest.approx(612.0)
