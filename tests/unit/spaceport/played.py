"""Stand-in stages: processes of a line or two, in the same folders as the real ones."""

from __future__ import annotations

import sys

from contract.stages import Stage
from local.sagemaker.container import Image, ProcessImage

PRELUDE = """
import hashlib, json, os, sys
from pathlib import Path
ml = Path(os.environ["ML_ROOT"])
def progress(share, message):
    event = {"progress": share, "message": message, "metrics": {}}
    print(json.dumps(event), file=sys.stderr, flush=True)
def fail(code, facts):
    (ml / "output").mkdir(exist_ok=True)
    (ml / "output" / "failure").write_text(f"{code}: {facts}")
    sys.exit(1)
def result(folder, stage, files, **counts):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    manifest = {
        "version": 1, "stage": stage, "jobId": os.environ["JOB_ID"], "attempt": int(os.environ["ATTEMPT"]),
        "counts": counts, "metrics": {}, "timings": {}, "warnings": [],
        "files": [{"path": name, "bytes": len(text)} for name, text in files.items()],
    }
    (folder / "result.json").write_text(json.dumps(manifest))
"""
SFM = """
(upload,) = (ml / "processing/input/upload").iterdir()
import zipfile
photos = len(zipfile.ZipFile(upload).namelist())
progress(0.5, "matching photos")
photos_json = json.dumps([{"name": "1.jpg", "original": "a.jpg", "registered": True}])
files = {"photos.json": photos_json, "cloud.json": "{}"}
result(ml / "processing/output", "sfm", files, photos=photos, registered=photos)
"""
TRAINING = """
assert (ml / "input/data/scene/result.json").is_file()
progress(0.5, "step 5 of 10")
result(ml / "model", "3dgs", {"scene.ply": os.environ["QUALITY"]}, gaussians=1000)
"""
COMPRESSOR = """
given = ml / "processing/input/model"
progress(0.5, "searching")
(ply,) = given.glob("*.ply")
files = {"scene.sog": ply.read_text(), "viewer/index.html": "<html>"}
result(ml / "processing/output", "compressor", files, bytes=7)
"""
PLAYS = {Stage.SFM: SFM, Stage.TRAINING: TRAINING, Stage.COMPRESSOR: COMPRESSOR}


def played(**plays: str) -> dict[str, Image]:
    """The three images; `sfm`, `training`, `compressor` choose a different stand-in for a stage."""
    chosen = {stage: plays.get(stage.state_key, play) for stage, play in PLAYS.items()}
    return {stage.value: ProcessImage((sys.executable, "-c", PRELUDE + play)) for stage, play in chosen.items()}
