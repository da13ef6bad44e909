"""Compose the job's report for the customer: quality, photos, size, time and cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

from contract.scene_schemas import CONTROL_POINTS
from contract.shots import Kind
from contract.stages import Stage
from contract.warning_codes import WARNINGS, WarningCode
from domain.job import Camel, Job, JobOptions
from domain.results import StageResult, StageWarning
from domain.stages import StageOutput


class PhotoLine(Camel):
    """One picture of the upload, under the customer's own file name. `reason`: why it was not used; `kind`: what it is
    if it is not a separate photo (contract/shots.py); `film`, `seconds`: for a frame, its film and its time in it.
    """

    name: str
    used: bool
    reason: str | None = None
    kind: Kind | None = None
    film: str | None = None
    seconds: float | None = None


class HeldOutView(Camel):
    """How well the splat matched a check photo before it was trained on, without and with compression: PSNR in dB, SSIM
    0..1.

    `psnr_seen`: over the places that at least three training photos see, at equal exposure; None if not measured.
    """

    name: str
    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float
    psnr_seen: float | None = None
    picture: str


class ScorePart(Camel):
    """`points` of at most `most`; `why`: the figure behind them and how it is scaled; `cause`: what often lowers it."""

    name: str
    points: float
    most: int
    why: str
    cause: str


@dataclass(frozen=True)
class Quality:
    """The figures of a job about how its splat looks.

    psnr: dB on check photos over what three training photos see, after fitting gain and offset of each channel, minus
        the loss by compression.
    gmsd: gradient magnitude similarity deviation there, a measure of lost edges; 0 is best.
    off_path: dB, contrast of the surfaces that photos agree on over the squared error, seen from places around the
        scene where no photo was taken.
    seen: share of a check photo that three training photos see.
    photos, registered: number of photos in the upload, and of those that were aligned.
    """

    psnr: float
    gmsd: float
    off_path: float
    seen: float
    photos: int
    registered: int


class CurvePoint(Camel):
    """Held-out PSNR (dB) after `step` steps of training."""

    step: int
    psnr: float
    gaussians: int
    seconds: float


class DeliveredFile(Camel):
    name: str
    bytes: int


class Georeference(Camel):
    """Where on Earth the scene's origin is, and the RMS distance between its `source` (the photos' GPS or control
    points) and the model.

    `altitude` is None if the photos have none or contradict each other; `datum`: what it is above. `system`: the name
    of the map projection.
    """

    latitude: float
    longitude: float
    altitude: float | None
    rms_metres: float | None
    system: str | None = None
    source: str | None = None
    datum: str | None = None

    @property
    def by_control_points(self) -> bool:
        return self.source == CONTROL_POINTS

    @property
    def place(self) -> dict[str, Any]:
        """The known parts for the Job Succeeded event, rounded to a decimetre."""
        found = {"latitude": round(self.latitude, 6), "longitude": round(self.longitude, 6), "system": self.system}
        return {name: value for name, value in found.items() if value is not None}


class ReportedWarning(StageWarning):
    """A stage's warning, with the catalogue's sentence and hint."""

    sentence: str
    hint: str

    @classmethod
    def of(cls, warning: StageWarning) -> ReportedWarning:
        advice = WARNINGS[warning.code]
        return cls(**warning.model_dump(), sentence=advice.sentence, hint=advice.hint)


class Report(Camel):
    """The content of `report.json`. PSNR (dB) and SSIM refer to check photos before these were trained on, and to the
    compressed scene unless the name says otherwise; None: not measured.

    psnr_seen: dB before compression over what at least three training photos see, at equal exposure; seen_share: that
    part of the check photos, 0..1.
    invented_share: share of the scene's picture that is ground and sky drawn in the photos' colours.
    """

    version: Literal["1"] = "1"
    job_id: str
    name: str
    uploaded_at: datetime
    options: JobOptions
    photos: int | None
    registered: int | None
    photo_list: list[PhotoLine]
    georeference: Georeference | None
    gps_rms_metres: float | None
    gaussians: int | None
    psnr: float | None
    psnr_before_compression: float | None
    psnr_seen: float | None
    seen_share: float | None
    ssim: float | None
    ssim_before_compression: float | None
    invented_share: float | None
    held_out: list[HeldOutView]
    training_curve: list[CurvePoint]
    bytes: int | None
    compression_ratio: float | None
    files: list[DeliveredFile]
    score: int | None
    no_score: str | None = None
    score_parts: list[ScorePart]
    seconds: dict[str, float]
    timings: dict[str, dict[str, float]]
    cost: dict[str, Any]
    warnings: list[ReportedWarning]


def compose(
    job: Job,
    stages: dict[Stage, StageOutput],
    results: dict[Stage, StageResult],
    photos: list[dict[str, Any]],
    georeference: dict[str, Any],
    files: list[DeliveredFile],
) -> Report:
    """The report of a job. `photos` and `georeference`: the contents of sfm's photos.json and georeference.json, empty
    for a job without them."""

    def count(stage: Stage, name: str) -> int | None:
        return results[stage].counts.get(name) if stage in results else None

    def metric(stage: Stage, name: str) -> Any:
        return results[stage].metrics.get(name) if stage in results else None

    def before(figure: str) -> float | None:
        """A figure of the check photos before they were trained on; for an uploaded splat, before compression."""
        value: float | None = metric(Stage.TRAINING, figure)
        return metric(Stage.COMPRESSOR, f"{figure}Before") if value is None else value

    def after(figure: str) -> float | None:
        return _compressed(
            before(figure), metric(Stage.COMPRESSOR, f"{figure}Before"), metric(Stage.COMPRESSOR, f"{figure}After")
        )

    given, registered = count(Stage.SFM, "photos"), count(Stage.SFM, "registered")
    psnr, ssim = after("psnr"), after("ssim")
    quality = _quality(results)
    parts = [] if quality is None else score_parts(quality)
    return Report(
        job_id=job.job_id,
        name=job.name,
        uploaded_at=job.uploaded_at,
        options=job.options.model_copy(update={"email": None}),  # customers pass reports on: no address in them
        photos=given,
        registered=registered,
        photo_list=[
            PhotoLine(
                name=photo["original"],
                used=photo["registered"],
                reason=photo.get("reason"),
                kind=photo.get("kind"),
                film=photo.get("film"),
                seconds=photo.get("seconds"),
            )
            for photo in photos
        ],
        georeference=_georeference(georeference),
        gps_rms_metres=metric(Stage.SFM, "gpsRms"),
        gaussians=count(Stage.COMPRESSOR, "gaussians"),
        psnr=psnr,
        psnr_before_compression=before("psnr"),
        psnr_seen=metric(Stage.TRAINING, "psnrSeenFitted"),
        seen_share=metric(Stage.TRAINING, "seen"),
        ssim=ssim,
        ssim_before_compression=before("ssim"),
        invented_share=metric(Stage.COMPRESSOR, "inventedShare"),
        held_out=_held_out(metric(Stage.COMPRESSOR, "views") or [], metric(Stage.TRAINING, "views") or [], photos),
        training_curve=[CurvePoint.model_validate(point) for point in metric(Stage.TRAINING, "curve") or []],
        bytes=count(Stage.COMPRESSOR, "bytes"),
        compression_ratio=metric(Stage.COMPRESSOR, "ratio"),
        files=files,
        score=round(sum(part.points for part in parts)) if parts else None,
        no_score=None if parts else _no_score(results),
        score_parts=parts,
        seconds={stage.value: output.seconds for stage, output in stages.items()},
        timings={stage.value: result.timings for stage, result in results.items()},
        cost=total_cost(stages),
        warnings=[
            ReportedWarning.of(warning)
            for warning in [*_remarks(job), *(found for result in results.values() for found in result.warnings)]
        ],
    )


def _remarks(job: Job) -> list[StageWarning]:
    return [StageWarning(code=WarningCode.UNKNOWN_SETTING, message=remark) for remark in job.remarks]


def _georeference(given: dict[str, Any]) -> Georeference | None:
    origin, projected = given.get("origin"), given.get("projected") or {}
    if not origin:
        return None
    return Georeference(
        **origin,
        rms_metres=given.get("rms_metres"),
        system=projected.get("name"),
        source=given.get("source"),
        datum=(given.get("heights") or {}).get("datum"),
    )


def _compressed(scored: float | None, before: float | None, after: float | None) -> float | None:
    """The figure `scored` before the check photos were trained on, minus the later loss by compression."""
    if scored is None or before is None or after is None:
        return scored
    return scored - (before - after)


def _held_out(
    views: list[dict[str, Any]], scores: list[dict[str, Any]], photos: list[dict[str, Any]]
) -> list[HeldOutView]:
    """The compressor's `views` with training's `scores`, under the customer's names for the photos."""
    originals = {photo["name"]: photo["original"] for photo in photos}
    scored = {score["name"]: score for score in scores}
    found = []
    for view in views:
        line = HeldOutView.model_validate({**view, "name": originals.get(view["name"], view["name"])})
        if score := scored.get(view["name"]):
            line = line.model_copy(
                update={
                    "psnr_before": score["psnr"],
                    "psnr_after": _compressed(score["psnr"], line.psnr_before, line.psnr_after),
                    "ssim_before": score["ssim"],
                    "ssim_after": _compressed(score["ssim"], line.ssim_before, line.ssim_after),
                    "psnr_seen": score["psnr_seen_fitted"],
                }
            )
        found.append(line)
    return found


def total_cost(stages: dict[Stage, StageOutput]) -> dict[str, Any]:
    """Seconds and dollars by stage and in all; dollars only when the price of every machine is known."""
    by_stage = {stage.value: output.cost for stage, output in stages.items()}
    total = {"seconds": round(sum(cost["seconds"] for cost in by_stage.values()), 1)}
    if all("dollars" in cost for cost in by_stage.values()):
        total["dollars"] = round(sum(cost["dollars"] for cost in by_stage.values()), 4)
    return {**total, "stages": by_stage}


def _quality(results: dict[Stage, StageResult]) -> Quality | None:
    """The stages' figures; None if one is missing, for example without held-out photos."""
    if Stage.SFM not in results or Stage.TRAINING not in results:
        return None
    counts, trained = results[Stage.SFM].counts, results[Stage.TRAINING].metrics
    compressed = results[Stage.COMPRESSOR].metrics if Stage.COMPRESSOR in results else {}
    named = [trained.get(name) for name in ("psnrSeenFitted", "gmsd", "contrastOffPath", "seen")]
    figures = [float(figure) for figure in named if figure is not None]
    photos, registered = counts.get("photos"), counts.get("registered")
    if len(figures) < len(named) or not photos or registered is None:
        return None
    psnr, gmsd, off_path, seen = figures
    delivered = _compressed(psnr, compressed.get("psnrBefore"), compressed.get("psnrAfter"))
    return Quality(psnr if delivered is None else delivered, gmsd, off_path, seen, photos, registered)


def _no_score(results: dict[Stage, StageResult]) -> str | None:
    """Why the scene has no score, for the customer; None for a splat or a COLMAP model, which never have one.

    Without the off-path figure there is no score: 45 of the 100 points are for views from where no photo was taken, and
    the other figures say too little about these.
    """
    if Stage.SFM not in results or Stage.TRAINING not in results:
        return None
    if results[Stage.TRAINING].metrics.get("psnrSeenFitted") is None:
        return "There are no check photos to compare the scene with: too few photos see the same places."
    return (
        "The photos agree on too little for us to check the scene from other sides. "
        "Fly with more overlap between neighbouring photos."
    )


def score_parts(quality: Quality) -> list[ScorePart]:
    """The parts of the score out of 100, which predicts a customer's opinion of the scene without any ground truth.

    benchmarks/README.md, *The score*, describes the splats from which the scales were set.
    """
    q = quality
    return [
        _part(
            MATCH, 25, _scaled(_MATCH, q.psnr),
            f"{q.psnr:.1f} dB on check photos, where three others see the place, at equal exposure "
            f"(0 points at {_MATCH[0][0]:g}, full at {_MATCH[-1][0]:g})",
            "Common causes: moving objects, changing light, or too few photos of each place.",
        ),
        _part(
            SHARPNESS, 15, _scaled(_SHARPNESS, q.gmsd),
            f"edges differ by {q.gmsd:.2f} (GMSD): 0 points at {_SHARPNESS[-1][0]:.2f}, "
            f"full points at {_SHARPNESS[0][0]:.2f}",
            "Common causes: blurred photos, or too few photos of each place.",
        ),
        _part(
            "From all sides", 45, _scaled(_OFF_PATH, q.off_path),
            f"seen from where no photo was taken, contrast is {q.off_path:.1f} dB above the error: "
            f"0 points at {_OFF_PATH[0][0]:g} dB, full points at {_OFF_PATH[-1][0]:g} dB",
            "Common cause: photos that look in one direction only. Fly a ring around what matters.",
        ),
        _part(
            "Coverage", 15, q.registered / q.photos * _scaled(_COVERAGE, q.seen),
            f"{q.registered} of {q.photos} photos aligned; {100 * q.seen:.0f} % of each is seen by three others",
            "Fly with more overlap between neighbouring photos.",
        ),
    ]  # fmt: skip


# Pairs of a figure and its share of the points; linear in between. Below 20 dB things are hard to recognise, above 26
# few people see a difference; below a GMSD of 0.15 a picture looks sharp.
_MATCH = ((14.0, 0.0), (20.0, 0.65), (25.0, 0.9), (30.0, 1.0))
_SHARPNESS = ((0.10, 1.0), (0.16, 0.9), (0.22, 0.6), (0.32, 0.0))
_OFF_PATH = ((1.0, 0.0), (4.5, 0.22), (6.0, 0.45), (8.0, 0.55), (10.0, 0.8), (12.0, 0.92), (15.0, 1.0))
_COVERAGE = ((0.1, 0.0), (0.6, 1.0))
MATCH, SHARPNESS = "Match to your photos", "Sharpness"  # the parts that more training can raise
_POOR = 0.5  # share of a part's points below which the likely cause is named


def _part(name: str, most: int, share: float, why: str, cause: str) -> ScorePart:
    points = round(most * share, 1)
    full = f"{why}. {cause}" if share < _POOR else why
    return ScorePart(name=name, points=points, most=most, why=full, cause=cause)


def _scaled(scale: tuple[tuple[float, float], ...], value: float) -> float:
    """Piecewise linear through the (value, share) pairs of `scale`, whose values rise; constant beyond its ends."""
    if value <= scale[0][0]:
        return scale[0][1]
    for (low, at_low), (high, at_high) in pairwise(scale):
        if value <= high:
            return at_low + (at_high - at_low) * (value - low) / (high - low)
    return scale[-1][1]
