"""The state machine's data after stages have run, with their results in S3, as deliver receives it."""

from __future__ import annotations

import json
from typing import Any

from contract.stages import Stage
from tests.support.cloud import RESULTS, Cloud
from tests.support.events import sample_event
from tests.support.runs import JOB_ID, output_of

FILES = {
    Stage.SFM: ["cameras.png", "overlap.png", "cloud.json", "thumbnails.jpg", "photos.json", "georeference.json"],
    Stage.TRAINING: ["scene.ply", "held_out.png", "views.json"],
    Stage.COMPRESSOR: ["scene.sog", "scene.ply", "viewer/index.html", "preview.png", "poster.jpg", "orbit.webp"],
}
REPORT = f"s3://{RESULTS}/jobs/{JOB_ID}/report.json"
PAGE = f"s3://{RESULTS}/jobs/{JOB_ID}/report.html"
PHOTOS = [
    {"name": "000001.jpg", "original": "DJI <1>.JPG", "registered": True},
    {"name": "000002.jpg", "original": "DJI_2.JPG", "registered": False, "reason": "blurred & dark"},
]
PLACE = {
    "origin": {"latitude": 47.1, "longitude": 8.5, "altitude": 410.0},
    "rms_metres": 0.35,
    "projected": {"epsg": 32632, "name": "WGS 84 / UTM zone 32N"},
}
VIEW = {"psnrBefore": 24.1, "psnrAfter": 24.05, "ssimBefore": 0.79, "ssimAfter": 0.78}
JPEG, MAP, OVERLAP = b"\xff\xd8 a picture", b"\x89PNG a map", b"\x89PNG of overlap"
VERDICT: dict[str, Any] = sample_event("status/job-succeeded")["detail"]["metrics"]["verdict"]


def after(cloud: Cloud, *stages: Stage, warnings: dict[Stage, list[dict[str, Any]]] | None = None) -> dict[str, Any]:
    """The state machine's data after `stages` have run, with their results in S3."""
    event = sample_event("deliver/full")
    event["stages"] = {name: out for name, out in event["stages"].items() if Stage(out["stage"]) in stages}
    for output in event["stages"].values():
        stage = Stage(output["stage"])
        cloud.put_result(
            output["outputUri"],
            counts=output["counts"],
            metrics=output["metrics"],
            warnings=(warnings or {}).get(stage, []),
            files=[{"path": path, "bytes": 1, "sha256": "0"} for path in FILES[stage]],
        )
    if Stage.SFM in stages:
        cloud.put(f"{output_of(Stage.SFM)}/georeference.json", json.dumps(PLACE).encode())
    return event


def with_pictures(cloud: Cloud) -> dict[str, Any]:
    """The state machine's data of a job whose stages wrote the list of photos, place, pictures and held-out views."""
    event = after(cloud, *Stage)
    sfm, training, compressor = (output_of(stage) for stage in Stage)
    cloud.put(f"{sfm}/photos.json", json.dumps(PHOTOS).encode())
    cloud.put(f"{sfm}/cameras.png", MAP)
    cloud.put(f"{sfm}/overlap.png", OVERLAP)
    for name in ("poster.jpg", "held_out/000001.jpg"):
        cloud.put(f"{compressor}/{name}", JPEG)
    curve = [{"step": step, "psnr": 20 + step / 100, "gaussians": 1000 * step, "seconds": 9} for step in (100, 200)]
    compressed = event["stages"]["compressor"]
    views = [{"name": "000001.jpg", "picture": "held_out/000001.jpg", **VIEW}]
    cloud.put_result(
        compressor,
        counts=compressed["counts"],
        metrics=compressed["metrics"] | {"views": views, "ssimBefore": 0.79, "ssimAfter": 0.77, "inventedShare": 0.234},
        files=[{"path": path, "bytes": 1000, "sha256": "0"} for path in FILES[Stage.COMPRESSOR]],
    )
    trained = event["stages"]["training"]
    # from before the check photos were trained on; the compressor's figures are of the delivered splat, trained on them
    scored = [{"name": "000001.jpg", "psnr": 20.1, "ssim": 0.6, "psnr_seen_fitted": 21.5}]
    of_training = {"curve": curve, "psnr": 20.1, "ssim": 0.6, "views": scored, "psnrSeenFitted": 21.5, "seen": 0.8}
    cloud.put_result(training, counts=trained["counts"], metrics=trained["metrics"] | of_training)
    return event
