"""Plan the flight: nadir strips over the property, then an orbit that looks at the house."""

from dataclasses import dataclass
from math import ceil, cos, pi, radians, sin, sqrt

import numpy as np

from sample.camera import Camera, world_to_camera
from sample.solids import Floats
from sample.terrain import Terrain

ALTITUDE = 36.0  # metres above the ground below, for the strips
FORWARD_OVERLAP, SIDE_OVERLAP = 0.79, 0.76
FOCUS = (1.0, 1.5)  # metres east and north: the orbit's middle
ORBIT_SHARE, MAX_ORBIT, RING = 0.4, 36, 12
RINGS = ((35.0, 23.0), (29.0, 31.0), (41.0, 16.0))  # radius, height above the house's pad; metres
SPEED = 6.0  # metres a second between photos


@dataclass(frozen=True)
class Lens:
    """The invented drone's camera: an exact pinhole. Its 35 mm equivalent is by the diagonal (CIPA DCG-001)."""

    make: str = "Meridian"
    model: str = "Swift 2"
    focal_mm: float = 12.0
    focal_35mm: int = 24

    @property
    def sensor_width_mm(self) -> float:
        """Width of the 4:3 sensor on which `focal_mm` is exactly `focal_35mm`."""
        return 0.8 * sqrt(36.0**2 + 24.0**2) * self.focal_mm / self.focal_35mm

    def focal_pixels(self, width: int) -> float:
        """Focal length in pixels of a picture `width` pixels wide."""
        return self.focal_mm / self.sensor_width_mm * width


@dataclass(frozen=True)
class Shot:
    """One photo to take: when (seconds after the first) and from where, looking how."""

    camera: Camera
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What to fly: how many photos, whether two fifths of them come from rings round the house, and the strips' metres
    above the ground.
    """

    photos: int
    rings: bool = True
    altitude: float = ALTITUDE


@dataclass(frozen=True)
class Strips:
    """How many photos each strip takes, and the steps along and between strips, metres."""

    counts: tuple[int, ...]
    forward: float
    side: float


def footprint(lens: Lens, altitude: float = ALTITUDE) -> tuple[float, float]:
    """Ground that a photo straight down covers, metres across and along, from `altitude` over level land."""
    across = altitude / lens.focal_pixels(1)
    return across, 0.75 * across


def texel_for(width: int, altitude: float = ALTITUDE) -> float:
    """Metres that textures should resolve so that photos `width` pixels wide are as sharp as their pixels."""
    return altitude / Lens().focal_pixels(width) * 0.9


def orbit_count(plan: Plan) -> int:
    """How many of the photos are taken from the orbit."""
    return min(round(ORBIT_SHARE * plan.photos), MAX_ORBIT) if plan.rings else 0


def strips(plan: Plan, lens: Lens) -> Strips:
    """Strips for the photos that are not the orbit's, over land about as long as it is wide."""
    count = plan.photos - orbit_count(plan)
    across, along = footprint(lens, plan.altitude)
    forward, side = (1 - FORWARD_OVERLAP) * along, (1 - SIDE_OVERLAP) * across
    number = max(1, round(sqrt(count * forward / side)))
    return Strips(tuple(count // number + (k < count % number) for k in range(number)), forward, side)


def ground_half(plan: Plan, lens: Lens) -> tuple[float, float]:
    """Half sizes of the ground, metres east and north, that the flight sees in detail."""
    flown = strips(plan, lens)
    across, along = footprint(lens, plan.altitude)
    east = (len(flown.counts) - 1) / 2 * flown.side + across / 2 + 5
    north = (max(flown.counts) - 1) / 2 * flown.forward + along / 2 + 5
    return max(46.0, float(ceil(east))), max(42.0, float(ceil(north)))


def camera_at(centre: Floats, forward: Floats, up: Floats, width: int, lens: Lens) -> Camera:
    """A 4:3 picture `width` pixels wide from `centre`."""
    focal = lens.focal_pixels(width)
    height = width * 3 // 4
    return Camera(width, height, focal, focal, width / 2, height / 2, world_to_camera(centre, forward, up))


def fly(plan: Plan, width: int, terrain: Terrain, lens: Lens, seed: int) -> list[Shot]:
    """The whole flight, in the order of time. The drone drifts a little from its plan, and knows it."""
    random = np.random.default_rng([seed, 1])
    cameras = strip_cameras(plan, width, terrain, lens, random) + orbit_cameras(plan, width, terrain, lens, random)
    shots, seconds = [], 0.0
    for index, camera in enumerate(cameras):
        if index:
            way = float(np.linalg.norm(camera.centre - cameras[index - 1].centre))
            seconds += max(2.0, way / SPEED)
        shots.append(Shot(camera, seconds))
    return shots


def strip_cameras(plan: Plan, width: int, terrain: Terrain, lens: Lens, random: np.random.Generator) -> list[Camera]:
    """Near-nadir photos, strip by strip, there and back, following the terrain; north is the picture's top."""
    flown = strips(plan, lens)
    cameras = []
    for strip, count in enumerate(flown.counts):
        x = (strip - (len(flown.counts) - 1) / 2) * flown.side
        steps = np.arange(count) - (count - 1) / 2
        for step in steps if strip % 2 == 0 else steps[::-1]:
            y = step * flown.forward
            around = [terrain.height(x + a, y + b) for a in (-12, 0, 12) for b in (-12, 0, 12)]
            centre = np.array([x, y, float(np.mean(around)) + plan.altitude]) + random.normal(0, [0.3, 0.3, 0.25])
            yaw, tilt, roll = np.radians(random.normal([0, 4.0, 0], [2.0, 1.2, 0.8]))
            forward = np.array([sin(yaw) * sin(tilt) + cos(yaw) * sin(roll), cos(yaw) * sin(tilt), -cos(tilt)])
            cameras.append(camera_at(centre, forward, np.array([sin(yaw), cos(yaw), 0.0]), width, lens))
    return cameras


def orbit_cameras(plan: Plan, width: int, terrain: Terrain, lens: Lens, random: np.random.Generator) -> list[Camera]:
    """Oblique photos on rings round the house."""
    count = orbit_count(plan)
    base = terrain.height(*FOCUS)
    focus = np.array([*FOCUS, base + 2.0])
    cameras: list[Camera] = []
    rings = ceil(count / RING)
    for ring in range(rings):
        radius, height = RINGS[ring % len(RINGS)]
        share = count // rings + (ring < count % rings)
        for k in range(share):
            angle = radians(200.0) + 2 * pi * (k + 0.5 * (ring % 2)) / share
            centre = focus + np.array([radius * sin(angle), radius * cos(angle), height - 2.0])
            centre += random.normal(0, [0.5, 0.5, 0.3])
            target = focus + random.normal(0, [0.6, 0.6, 0.3])
            cameras.append(camera_at(centre, target - centre, np.array([0.0, 0.0, 1.0]), width, lens))
    return cameras
