"""Run the sfm stage and its peers as separate processes, with the CPU seconds and the peak memory of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pycolmap

ROOT = Path(__file__).parents[1]
SUFFIXES = {".jpg", ".jpeg", ".png"}
# what `colmap` does with no options but those that say where things are, and that there is no GPU
COLMAP_STEPS = (
    ("feature_extractor", "--image_path", "{photos}", "--SiftExtraction.use_gpu", "0"),
    ("exhaustive_matcher", "--SiftMatching.use_gpu", "0"),
    ("mapper", "--image_path", "{photos}", "--output_path", "{models}"),
)


@dataclass(frozen=True)
class Figures:
    """Cost and results of one run: errors in pixels of the photos, GPS in metres (None for peers without it), and wall
    seconds by part of the stage.
    """

    cpu_seconds: float
    peak_bytes: int
    photos: int
    registered: int
    points: int
    reprojection_error: float
    gps_rms: float | None = None
    parts: dict[str, float] = field(default_factory=dict)

    def share(self, part: str) -> float:
        """Of the time of all parts."""
        return self.parts[part] / sum(self.parts.values())

    def as_figures(self) -> dict[str, float | int | None]:
        found: dict[str, float | int | None] = {
            "cpu_s": round(self.cpu_seconds, 1),
            "peak_mb": round(self.peak_bytes / 1e6),
            "registered": self.registered,
            "points": self.points,
            "error_px": round(self.reprojection_error, 4),
        }
        return found if self.gps_rms is None else found | {"gps_rms_m": self.gps_rms}


def run_stage(archive: Path, ml_root: Path, photos: Path) -> Figures:
    """The stage's own entry point on `archive`; the photos are left upright in nothing but a folder for the peers."""
    upload = ml_root / "processing" / "input" / "upload"
    upload.mkdir(parents=True)
    shutil.copy(archive, upload)
    path = os.pathsep.join(str(ROOT / part) for part in ("containers", "containers/sfm"))
    environment = os.environ | {"ML_ROOT": str(ml_root), "PYTHONPATH": path}
    with (ml_root / "log").open("w") as log:
        subprocess.run([sys.executable, "-m", "sfm"], env=environment, stderr=log, check=True)
    result = json.loads((ml_root / "processing" / "output" / "result.json").read_text())
    _unzip(archive, photos)
    return Figures(
        result["resources"]["cpuSeconds"],
        result["resources"]["peakMemoryBytes"],
        result["counts"]["photos"],
        result["counts"]["registered"],
        result["counts"]["points"],
        result["metrics"]["reprojectionError"],
        result["metrics"]["gpsRms"],
        result["timings"],
    )


def run_pycolmap(photos: Path, folder: Path) -> Figures:
    """extract_features, match_exhaustive and incremental_mapping of the installed pycolmap with their defaults."""
    (folder / "models").mkdir(parents=True)
    program = (
        "import sys, pycolmap as p; photos, folder = sys.argv[1:]; database = folder + '/database.db'; "
        "p.logging.minloglevel = 2; cpu = p.Device.cpu; p.extract_features(database, photos, device=cpu); "
        "p.match_exhaustive(database, device=cpu); p.incremental_mapping(database, photos, folder + '/models')"
    )
    return _watched([[sys.executable, "-c", program, str(photos), str(folder)]], photos, folder / "models")


def run_colmap(photos: Path, folder: Path) -> Figures:
    """Debian's `colmap`: feature_extractor, exhaustive_matcher and mapper with their defaults, on the CPU."""
    (folder / "models").mkdir(parents=True)
    places = {"photos": str(photos), "models": str(folder / "models")}
    steps = [
        ["colmap", name, "--database_path", str(folder / "database.db"), *(word.format(**places) for word in words)]
        for name, *words in COLMAP_STEPS
    ]
    return _watched(steps, photos, folder / "models")


def _watched(commands: list[list[str]], photos: Path, models: Path) -> Figures:
    """Run the commands and measure them and the largest model that they leave."""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "OMP_WAIT_POLICY": "PASSIVE"}
    cpu, peak = 0.0, 0
    for command in commands:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss * 1024)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:3])} ended with {process.returncode}")
    found = [pycolmap.Reconstruction(folder) for folder in models.iterdir() if (folder / "images.bin").exists()]
    model = max(found, key=lambda m: (m.num_reg_images(), m.num_points3D()), default=pycolmap.Reconstruction())
    model.update_point_3d_errors()
    return Figures(
        cpu,
        peak,
        sum(1 for _ in photos.iterdir()),
        model.num_reg_images(),
        model.num_points3D(),
        model.compute_mean_reprojection_error() if found else float("nan"),
    )


def _unzip(archive: Path, photos: Path) -> None:
    photos.mkdir()
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            path = PurePosixPath(entry.filename)
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                (photos / path.name).write_bytes(opened.read(entry))
