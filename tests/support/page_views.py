"""The API's answers for the different states of the customer's page, and photos to upload."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tests.support.page import job, stage

JOB = "meadow-0123456789ab"
FIELDS = ("jobId", "name", "status", "stage", "progress", "uploadedAt", "rerunOf")
CORS = {"Access-Control-Allow-Origin": "*"}
STAGES = ("sfm", "3dgs", "compressor")
REFUSED = {
    "code": "LOW_REGISTRATION",
    "message": "We could match fewer than half of your photos. (4 of 20)",
    "hint": "Send one place per ZIP.",
}
SHARE = {"shareId": "0123456789ab", "label": "For the mayor", "createdAt": "2026-05-04T10:00:00Z", "expiresAt": None}
STEP = {"label": "Make it again in Standard quality", "fromStage": "3dgs", "quality": "standard"}
POOR = {
    "grade": "poor",
    "sentence": "A poor scene: do not rely on what it shows.",
    "why": "A reason.",
    "nextStep": STEP,
}
SUCCEEDED = {"score": 35, "photos": 20, "registered": 20, "psnr": 16.9, "bytes": 1_500_000, "verdict": POOR}


def picture(width: int = 480, height: int = 270) -> str:
    """A meadow with a house, as a data: URL."""
    image = Image.new("RGB", (width, height), (110, 150, 80))
    ImageDraw.Draw(image).rectangle((width // 3, height // 3, width // 2, height * 2 // 3), fill=(190, 100, 70))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def training(**more: Any) -> dict[str, Any]:
    curve = [{"step": 100 * n, "psnr": 15 + 9 * n / (n + 4)} for n in range(1, 9)]
    return job(
        progress=0.5,
        message="training",
        stages=[
            stage("sfm", "SUCCEEDED", 1.0),
            stage(
                "3dgs", "RUNNING", 0.4, message="learning from the photos",
                metrics={"step": 800, "steps": 2000, "gaussians": 40_000, "psnr": 21.0, "curve": curve},
            ),
            stage("compressor", "WAITING"),
        ],
        links={
            "sfm/cloud.json": "https://results.example.com/cloud.json",
            "snapshots/800.jpg": picture(),
            "sfm/thumbnails.jpg": picture(960, 320),
        },
        **more,
    )  # fmt: skip


def ready() -> dict[str, Any]:
    stages = [stage(name, "SUCCEEDED", 1.0) for name in STAGES]
    links = {
        **training()["links"],
        "sfm/overlap.png": picture(),
        "viewer/index.html": "about:blank",
        "scene.sog": "https://results.example.com/a.sog",
    }
    return {
        **training(), "status": "SUCCEEDED", "message": "Your scene is ready.", "metrics": SUCCEEDED, "stages": stages,
        "links": links,
    }  # fmt: skip


def failed() -> dict[str, Any]:
    links = {
        "sfm/photos.json": "https://results.example.com/photos.json",
        "sfm/cloud.json": "https://results.example.com/cloud.json",
        "sfm/overlap.png": picture(),
        "sfm/cameras.png": picture(),
        "sfm/thumbnails.jpg": picture(960, 320),
    }
    stages = [stage("sfm", "FAILED", 0.6), *(stage(name, "WAITING") for name in STAGES[1:])]
    return job("FAILED", error=REFUSED, stages=stages, links=links)


def photos() -> list[dict[str, Any]]:
    """photos.json of an upload in which structure from motion placed 4 photos of 20."""
    lost = "matches no other photo: it shows another place, or overlaps too little"
    return [
        {
            "name": f"{n:06d}.jpg",
            "original": f"DJI_{n:04d}.JPG",
            "registered": n < 4,
            **({"reason": lost} if n > 3 else {}),
        }
        for n in range(20)
    ]


def cloud() -> dict[str, Any]:
    chance = np.random.default_rng(1)
    points = chance.uniform(-20, 20, (3000, 3)).astype(np.float32)
    points[:, 2] = chance.uniform(-9, -7, 3000)
    colours = np.tile(np.array([90, 140, 70], np.uint8), (3000, 1))
    around = [(float(np.cos(n)), float(np.sin(n))) for n in range(12)]
    cameras = [{"name": "a.jpg", "position": [24 * x, 24 * y, 14.0], "forward": [-x, -y, -0.5]} for x, y in around]
    coded = {
        "positions": base64.b64encode(points.tobytes()).decode(),
        "colors": base64.b64encode(colours.tobytes()).decode(),
    }
    return {"version": 1, "metric": True, "centre": [0, 0, 0], "cameras": cameras, "points": {"count": 3000, **coded}}


def upload(size: int) -> dict[str, Any]:
    return {
        "uploadId": "u", "bytes": size, "partBytes": 8 * 1024**2, "partCount": 1, "received": [], "links": [],
        "expiresAt": "2036-05-04T16:00:00Z",
    }  # fmt: skip


def flight(folder: Path, count: int = 6) -> Path:
    photos = folder / "meadow"
    photos.mkdir(exist_ok=True)
    for number in range(count):
        Image.effect_noise((160, 120), 60 + number).save(photos / f"DJI_{number:04d}.JPG")
    return photos
