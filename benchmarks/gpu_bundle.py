"""`make gpu-bundle`: fill `.gpu/` with everything that a CUDA machine without a network lacks, at most 60 MiB.

The bundle has gsplat's sources and the packages that it imports, ninja, plyfile, and two flights of the sample after
the sfm stage, or the ZIPs named by SETS="a.zip b.zip".
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from benchmarks.stage_runs import BUILD, ROOT, run_sfm

TARGET = ROOT / ".gpu"
MAX_BYTES = 60 << 20
LONG_EDGE, QUALITY = 1600, 90
FLIGHTS = {"rings": ["--photos", "24"], "nadir": ["--photos", "24", "--nadir", "--seed", "1"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, nargs="*", help="ZIPs of photos")
    sets = parser.parse_args().sets or [flown(name, options) for name, options in FLIGHTS.items()]
    shutil.rmtree(TARGET, ignore_errors=True)
    (TARGET / "scenes").mkdir(parents=True)
    fetch_packages(TARGET)
    for archive in sets:
        pack(run_sfm(archive, BUILD / "gpu" / archive.stem), TARGET / "scenes" / archive.stem)
    size = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    print(f"{TARGET}: {size / 2**20:.1f} MiB")
    return 0 if size <= MAX_BYTES else f"more than {MAX_BYTES >> 20} MiB"  # type: ignore[return-value]


def flown(name: str, options: list[str]) -> Path:
    """The ZIP of a flight over the sample's neighbourhood; made once."""
    archive = BUILD / "gpu" / f"{name}.zip"
    if not archive.is_file():
        folder = archive.with_suffix("")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "sample", str(folder), *options], cwd=ROOT, check=True)
        (folder / "sample.zip").replace(archive)
    return archive


def fetch_packages(target: Path) -> None:
    """Download gsplat as sources, to be compiled on that machine, and the other packages as wheels."""
    for package, lines in wanted_packages().items():
        only = target / f"{package}.txt"
        only.write_text(lines, encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--dest", str(target), "--requirement", str(only)]
        if package == "gsplat":
            command += ["--no-binary", "gsplat", "--no-build-isolation"]
        # pip asks gsplat's setup.py for its needs; nothing is compiled here
        subprocess.run(command, check=True, env=os.environ | {"BUILD_NO_CUDA": "1"})
        only.unlink()


def wanted_packages() -> dict[str, str]:
    """Lines of a list with hashes, by package: everything that gsplat needs, ninja to compile it, and plyfile."""
    lists = ROOT / "containers" / "3dgs"
    for_gsplat = lists / "requirements-cuda.txt"
    names = [line.partition("==")[0] for line in for_gsplat.read_text(encoding="utf-8").splitlines() if "==" in line]
    return {
        **{name: locked(for_gsplat, name) for name in names},
        "ninja": locked(lists / "cuda-toolkit.txt", "ninja"),
        "plyfile": locked(lists / "requirements.txt", "plyfile"),
    }


def locked(path: Path, package: str) -> str:
    """The lines of one package in a list with hashes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    last = next((n for n in range(first, len(lines)) if not lines[n].endswith("\\")), len(lines) - 1)
    return "\n".join(lines[first : last + 1]) + "\n"


def pack(scene: Path, target: Path) -> None:
    """Pack the scene's model and its photos, no larger than they are used in training."""
    shutil.copytree(scene / "sparse", target / "sparse")
    for path in sorted((scene / "images").rglob("*")):
        if path.is_file():
            small = target / "images" / path.relative_to(scene / "images")
            small.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as photo:
                photo.thumbnail((LONG_EDGE, LONG_EDGE))
                photo.convert("RGB").save(small, quality=QUALITY)


if __name__ == "__main__":
    sys.exit(main())
