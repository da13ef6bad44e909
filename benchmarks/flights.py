"""Generate flights for benchmarks: a scene's photos as a ZIP, with their true poses beside it, rendered once."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sample.archive import GPS_SIGMA, PhotoArchive, jpeg, name_photos, truth, write_truth
from sample.camera import Camera
from sample.flight import ALTITUDE, Lens, Plan, fly, ground_half, texel_for
from sample.lighting import afternoon
from sample.property import FARMLAND, VILLAGE, build_property
from sample.render import photograph
from sample.scene import Property, Scene, illuminate

LENS = Lens()
KINDS = ("held-out", "orbit", "wide", "between", "near", "horizon")  # of views: free_views.py
# scenes of seed 10 were never used for tuning: woods on two sides, neighbours' walls on the third


@dataclass(frozen=True)
class Flight:
    """A flight over the property of `seed`: `rings` like the sample, `nadir` only straight down, `fields` straight down
    from a greater height over farmland without contrast.
    """

    kind: str
    seed: int
    photos: int
    width: int = 1600  # of the photos, pixels

    @classmethod
    def named(cls, name: str) -> Flight:
        """The flight of a name such as `nadir-3-24`. Raises ValueError for any other."""
        found = re.fullmatch(r"(rings|nadir|fields)-(\d+)-(\d+)", name)
        if not found:
            raise ValueError(f"{name} is no flight: kind-seed-photos, as in nadir-3-24")
        width = 1000 if found[1] == "fields" else 1600
        return cls(found[1], int(found[2]), int(found[3]), width)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.seed}-{self.photos}"

    @property
    def plan(self) -> Plan:
        return Plan(self.photos, self.kind == "rings", 60.0 if self.kind == "fields" else ALTITUDE)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of views by which the flight's splats are judged."""
        return ("held-out", "between", "horizon") if self.kind == "fields" else KINDS

    def scenery(self) -> Property:
        land = FARMLAND if self.kind == "fields" else VILLAGE
        return build_property(ground_half(self.plan, LENS), self.seed, land)

    def lit(self, scenery: Property) -> Scene:
        return illuminate(scenery, afternoon(), texel_for(self.width, self.plan.altitude))


def photos_of(flight: Flight, folder: Path) -> Path:
    """The path of the flight's `sample.zip` in `folder`, beside `poses.json`; rendered if it does not exist yet."""
    archive = folder / "sample.zip"
    if archive.is_file() and (folder / "poses.json").is_file():
        return archive
    print(f"photographing {flight.name}", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    scenery = flight.scenery()
    scene = flight.lit(scenery)
    shots = fly(flight.plan, flight.width, scenery.terrain, LENS, flight.seed)
    photos = name_photos(shots, GPS_SIGMA, flight.seed)
    with PhotoArchive(archive) as out:
        for number, photo in enumerate(photos, start=1):
            out.add(photo, jpeg(photograph(scene, photo.shot.camera), photo, LENS, number))
    write_truth(folder / "poses.json", truth(photos, scenery.landmarks, flight.seed, GPS_SIGMA))
    return archive


def true_poses(folder: Path) -> dict[str, dict[str, Any]]:
    """The photos of poses.json, by name."""
    photos = json.loads((folder / "poses.json").read_text(encoding="utf-8"))["photos"]
    return {photo["name"]: photo for photo in photos}


def camera_of(pose: dict[str, Any], width: int) -> Camera:
    """A photo's true camera in a picture `width` pixels wide."""
    factor = width / pose["width"]
    fx, fy, cx, cy = (factor * pose[name] for name in ("fx", "fy", "cx", "cy"))
    return Camera(width, round(pose["height"] * factor), fx, fy, cx, cy, np.array(pose["world_to_camera"]))
