"""The job's report: what the customer may know about quality, size, time and money. Pure."""

from __future__ import annotations

from typing import Any, Literal

from spaceport.job import Camel, Job
from spaceport.stages import Stage, StageOutput


class Report(Camel):
    """`report.json`. PSNR (dB) and SSIM are of held-out photos, PSNR after compression; None: not measured."""

    version: Literal["1"] = "1"
    job_id: str
    name: str
    photos: int | None
    registered: int | None
    gps_rms_metres: float | None
    gaussians: int | None
    psnr: float | None
    psnr_before_compression: float | None
    ssim: float | None
    bytes: int | None
    compression_ratio: float | None
    score: int | None
    seconds: dict[str, float]
    cost: dict[str, Any]
    warnings: list[dict[str, Any]]


def compose(job: Job, stages: dict[Stage, StageOutput], results: dict[Stage, dict[str, Any]]) -> Report:
    def count(stage: Stage, name: str) -> int | None:
        return results[stage]["counts"].get(name) if stage in results else None

    def metric(stage: Stage, name: str) -> Any:
        return results[stage]["metrics"].get(name) if stage in results else None

    photos, registered = count(Stage.SFM, "photos"), count(Stage.SFM, "registered")
    before = metric(Stage.COMPRESSOR, "psnrBefore")
    after = metric(Stage.COMPRESSOR, "psnrAfter")
    psnr = metric(Stage.TRAINING, "psnr") if after is None else after
    ssim = metric(Stage.TRAINING, "ssim")
    return Report(
        job_id=job.job_id,
        name=job.name,
        photos=photos,
        registered=registered,
        gps_rms_metres=metric(Stage.SFM, "gpsRms"),
        gaussians=count(Stage.COMPRESSOR, "gaussians"),
        psnr=psnr,
        psnr_before_compression=before,
        ssim=ssim,
        bytes=count(Stage.COMPRESSOR, "bytes"),
        compression_ratio=metric(Stage.COMPRESSOR, "ratio"),
        score=score(psnr, ssim, registered / photos if photos and registered is not None else None),
        seconds={stage.value: output.seconds for stage, output in stages.items()},
        cost=total_cost(stages),
        warnings=[warning for result in results.values() for warning in result["warnings"]],
    )


def total_cost(stages: dict[Stage, StageOutput]) -> dict[str, Any]:
    """Seconds and dollars by stage and in all; dollars only when the price of every machine is known."""
    by_stage = {stage.value: output.cost for stage, output in stages.items()}
    total = {"seconds": round(sum(cost["seconds"] for cost in by_stage.values()), 1)}
    if all("dollars" in cost for cost in by_stage.values()):
        total["dollars"] = round(sum(cost["dollars"] for cost in by_stage.values()), 4)
    return {**total, "stages": by_stage}


def score(psnr: float | None, ssim: float | None, registered_share: float | None) -> int | None:
    """Out of 100: half sharpness (held-out PSNR, 15 dB → 0, 30 dB → 1), 30 likeness (SSIM), 20 photos used.

    None without held-out photos: a number then would be a guess.
    """
    if psnr is None or ssim is None or registered_share is None:
        return None
    sharpness = min(max((psnr - 15) / 15, 0), 1)
    return round(50 * sharpness + 30 * min(max(ssim, 0), 1) + 20 * registered_share)
