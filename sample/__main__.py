"""`python -m sample OUT_DIR`: take the sample's photos."""

import argparse
import sys
import time
from pathlib import Path

from sample.archive import GPS_SIGMA, PhotoArchive, jpeg, name_photos, truth, write_truth
from sample.flight import Lens, Plan, fly, ground_half, texel_for
from sample.lighting import afternoon
from sample.property import build_property
from sample.render import photograph
from sample.scene import illuminate


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m sample", description="Photograph a procedural property by drone.")
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="where sample.zip and poses.json go")
    parser.add_argument("--photos", type=int, default=20, help="how many (default 20, at least 8)")
    parser.add_argument("--seed", type=int, default=0, help="of the neighbourhood, the drone's drift and the GPS noise")
    parser.add_argument(
        "--width", type=int, default=1600, help="of the photos in pixels, a multiple of 4 (default 1600)"
    )
    parser.add_argument("--gps-noise", type=float, default=1.0, metavar="K", help="times 0.3 m across and 0.5 m up")
    parser.add_argument("--nadir", action="store_true", help="strips straight down alone, no rings round the house")
    options = parser.parse_args(words)
    if options.photos < 8 or options.width < 64 or options.width % 4 or options.seed < 0 or options.gps_noise < 0:
        parser.error(
            "--photos must be at least 8, --width a multiple of 4 from 64, --seed and --gps-noise not negative"
        )
    return options


def main() -> None:
    """Make the sample and say how far it is."""
    options = arguments()
    began = time.monotonic()

    def say(text: str, end: str = "") -> None:
        # One line that is written over on a terminal, a line each in a log.
        if sys.stdout.isatty():
            print(f"\r\x1b[K{text} ({time.monotonic() - began:.0f} s)", end=end, flush=True)
        else:
            print(text, flush=True)

    options.out.mkdir(parents=True, exist_ok=True)
    lens = Lens()
    say("Laying out the property …")
    plan = Plan(options.photos, rings=not options.nadir)
    scenery = build_property(ground_half(plan, lens), options.seed)
    say("Lighting it …")
    scene = illuminate(scenery, afternoon(), texel_for(options.width))
    sigma = (GPS_SIGMA[0] * options.gps_noise, GPS_SIGMA[1] * options.gps_noise, GPS_SIGMA[2] * options.gps_noise)
    shots = fly(plan, options.width, scenery.terrain, lens, options.seed)
    photos = name_photos(shots, sigma, options.seed)
    target = options.out / "sample.zip"
    with PhotoArchive(target) as archive:
        for number, photo in enumerate(photos, start=1):
            say(f"Photo {number} of {len(photos)}")
            archive.add(photo, jpeg(photograph(scene, photo.shot.camera), photo, lens, number))
    write_truth(options.out / "poses.json", truth(photos, scenery.landmarks, options.seed, sigma))
    say(f"{len(photos)} photos in {target}, {target.stat().st_size / 1e6:.1f} MB", end="\n")


if __name__ == "__main__":
    main()
