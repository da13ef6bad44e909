"""Gather the outputs of all stages into one delivery."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ConfigDict

from contract.stages import Stage
from deliver.report import DeliveredFile, Report, compose
from deliver.report_html import Pictures, render
from deliver.verdict import Verdict, verdict_of
from domain.cost import Prices
from domain.job import Camel, Job
from domain.layout import RESULT, report_key
from domain.results import StageResult, read_bytes, read_json, read_result
from domain.stages import StageOutput, StageRun, finished_stages

# delivered name → (stage, file in the stage's output); files that the stage's result.json does not list are skipped
DELIVERED = {
    "scene.sog": (Stage.COMPRESSOR, "scene.sog"),
    "scene.ply": (Stage.COMPRESSOR, "scene.ply"),
    "scene.spz": (Stage.COMPRESSOR, "scene.spz"),
    "offset.json": (Stage.COMPRESSOR, "offset.json"),
    "scene.v4.spz": (Stage.COMPRESSOR, "scene.v4.spz"),
    "scene.glb": (Stage.COMPRESSOR, "scene.glb"),
    "viewer/index.html": (Stage.COMPRESSOR, "viewer/index.html"),
    "viewer/stream.html.gz": (Stage.COMPRESSOR, "viewer/stream.html.gz"),
    "lod/lod-meta.json": (Stage.COMPRESSOR, "lod/lod-meta.json"),
    "preview.png": (Stage.COMPRESSOR, "preview.png"),
    "poster.jpg": (Stage.COMPRESSOR, "poster.jpg"),
    "orbit.webp": (Stage.COMPRESSOR, "orbit.webp"),
    "products/quality.pdf": (Stage.COMPRESSOR, "products/quality.pdf"),
    "products/quality.html": (Stage.COMPRESSOR, "products/quality.html"),
    "products/orthophoto.tif": (Stage.COMPRESSOR, "products/orthophoto.tif"),
    "products/orthophoto.jpg": (Stage.COMPRESSOR, "products/orthophoto.jpg"),
    "products/surface.tif": (Stage.COMPRESSOR, "products/surface.tif"),
    "products/surface_sigma.tif": (Stage.COMPRESSOR, "products/surface_sigma.tif"),
    "products/hillshade.tif": (Stage.COMPRESSOR, "products/hillshade.tif"),
    "products/contours.geojson": (Stage.COMPRESSOR, "products/contours.geojson"),
    "products/points.laz": (Stage.COMPRESSOR, "products/points.laz"),
    "products/points.copc.laz": (Stage.COMPRESSOR, "products/points.copc.laz"),
    "products/products.json": (Stage.COMPRESSOR, "products/products.json"),
    "sfm/survey.json": (Stage.SFM, "survey.json"),
    "sfm/cameras.png": (Stage.SFM, "cameras.png"),
    "sfm/overlap.png": (Stage.SFM, "overlap.png"),
    "sfm/cloud.json": (Stage.SFM, "cloud.json"),
    "sfm/thumbnails.jpg": (Stage.SFM, "thumbnails.jpg"),
    "sfm/photos.json": (Stage.SFM, "photos.json"),
    "sfm/georeference.json": (Stage.SFM, "georeference.json"),
    "3dgs/held_out.png": (Stage.TRAINING, "held_out.png"),
}
MAX_PAIRS = 6  # photos beside their renders in report.html


class DeliverRequest(Job):
    """The state machine's data."""

    model_config = ConfigDict(extra="ignore")

    stages: dict[str, Any]


class Delivery(Camel):
    """The content of Job Succeeded: s3 URIs by name, the main figures, and seconds and dollars."""

    outputs: dict[str, str]
    metrics: dict[str, Any]
    cost: dict[str, Any]


class Deliverer:
    """`prices`: the prices behind the machines' costs, whose source the report states."""

    def __init__(self, s3: Any, results_bucket: str, prices: Prices = Prices()) -> None:  # noqa: B008 - frozen
        self._s3, self._bucket, self._prices = s3, results_bucket, prices

    def deliver(self, request: DeliverRequest) -> Delivery:
        """Write report.json and report.html and return the delivery; repeating the call writes the same files.

        Raises ValueError if the result.json of a stage was deleted after the stage reported it, and DamagedResult if it
        now belongs to another run.
        """
        stages = finished_stages(request.stages)
        results = {stage: self._result_of(request, output) for stage, output in stages.items()}
        outputs = outputs_of(stages, results)
        report = compose(
            request,
            stages,
            results,
            photos=self._json(outputs.get("sfm/photos.json")) or [],
            georeference=self._json(outputs.get("sfm/georeference.json")) or {},
            files=files_of(results),
        )
        verdict = verdict_of(report.score, report.score_parts, request.options)
        page = render(report, verdict, self._pictures(report, stages, outputs), self._prices.described)
        body = json.dumps(report.model_dump(by_alias=True, mode="json"), indent=2, ensure_ascii=False)
        outputs["report.html"] = self._put(request.job_id, "report.html", page, "text/html; charset=utf-8")
        outputs["report.json"] = self._put(request.job_id, "report.json", body, "application/json")
        return Delivery(outputs=outputs, metrics=headline(report, verdict), cost=report.cost)

    def _put(self, job_id: str, name: str, text: str, content_type: str) -> str:
        key = report_key(job_id, name)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=text.encode(), ContentType=content_type)
        return f"s3://{self._bucket}/{key}"

    def _result_of(self, job: Job, output: StageOutput) -> StageResult:
        run = StageRun(job_id=job.job_id, stage=output.stage, attempt=output.attempt)
        result = read_result(self._s3, output.output_uri, run)
        if result is None:
            raise ValueError(f"no result at {output.output_uri}/{RESULT}")
        return result

    def _json(self, uri: str | None) -> Any:
        return None if uri is None else read_json(self._s3, uri)

    def _pictures(self, report: Report, stages: dict[Stage, StageOutput], outputs: dict[str, str]) -> Pictures:
        """The pictures that exist: a report without a picture is better than none."""
        views = report.held_out
        chosen = [views[i * len(views) // MAX_PAIRS] for i in range(MAX_PAIRS)] if len(views) > MAX_PAIRS else views
        pairs = {
            view.name: read_bytes(self._s3, f"{stages[Stage.COMPRESSOR].output_uri}/{view.picture}") for view in chosen
        }
        names = ("poster.jpg", "sfm/cameras.png", "sfm/overlap.png")
        poster, cameras, overlap = (outputs.get(name) for name in names)
        return Pictures(
            poster=read_bytes(self._s3, poster) if poster else None,
            cameras=read_bytes(self._s3, cameras) if cameras else None,
            overlap=read_bytes(self._s3, overlap) if overlap else None,
            pairs={name: picture for name, picture in pairs.items() if picture is not None},
        )


def outputs_of(stages: dict[Stage, StageOutput], results: dict[Stage, StageResult]) -> dict[str, str]:
    listed = {stage: {file.path for file in result.files} for stage, result in results.items()}
    files = {
        name: f"{stages[stage].output_uri}/{path}"
        for name, (stage, path) in DELIVERED.items()
        if path in listed.get(stage, set())
    }
    return files | {f"{stage}/{RESULT}": f"{output.output_uri}/{RESULT}" for stage, output in stages.items()}


def files_of(results: dict[Stage, StageResult]) -> list[DeliveredFile]:
    """Names and sizes of the delivered files that a customer downloads."""
    sizes = {(stage, file.path): file.bytes for stage, result in results.items() for file in result.files}
    return [
        DeliveredFile(name=name, bytes=sizes[source])
        for name, source in DELIVERED.items()
        if source in sizes and source[0] is Stage.COMPRESSOR
    ]


def headline(report: Report, verdict: Verdict | None) -> dict[str, Any]:
    """The figures of the Job Succeeded event, the verdict on them, and the scene's place on Earth."""
    figures = {
        "photos": report.photos,
        "registered": report.registered,
        "gaussians": report.gaussians,
        "psnr": report.psnr,
        "ssim": report.ssim,
        "bytes": report.bytes,
        "score": report.score,
        "seconds": report.seconds,
        "place": report.georeference and report.georeference.place,
        "verdict": verdict and verdict.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    return {name: value for name, value in figures.items() if value is not None}
