"""Gather what the stages left into one delivery."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ConfigDict

from deliver.report import Report, compose
from spaceport.job import Camel, Job
from spaceport.results import read_json
from spaceport.stages import Stage, StageOutput, finished_stages

# delivered name → (stage, file in the stage's output); only what the stage's result.json lists is delivered
DELIVERED = {
    "scene.sog": (Stage.COMPRESSOR, "scene.sog"),
    "scene.ply": (Stage.COMPRESSOR, "scene.ply"),
    "viewer/index.html": (Stage.COMPRESSOR, "viewer/index.html"),
    "preview.png": (Stage.COMPRESSOR, "preview.png"),
    "orbit.webp": (Stage.COMPRESSOR, "orbit.webp"),
    "sfm/cameras.png": (Stage.SFM, "cameras.png"),
    "sfm/photos.json": (Stage.SFM, "photos.json"),
    "sfm/georeference.json": (Stage.SFM, "georeference.json"),
    "3dgs/held_out.png": (Stage.TRAINING, "held_out.png"),
}


class DeliverRequest(Job):
    """The state machine's data."""

    model_config = ConfigDict(extra="ignore")

    stages: dict[str, Any]


class Delivery(Camel):
    """For Job Succeeded: name → s3 URI, the figures that matter, seconds and dollars."""

    outputs: dict[str, str]
    metrics: dict[str, Any]
    cost: dict[str, Any]


class Deliverer:
    def __init__(self, s3: Any, results_bucket: str) -> None:
        self._s3, self._bucket = s3, results_bucket

    def deliver(self, request: DeliverRequest) -> Delivery:
        """Write report.json (again, the same, if repeated) and return the delivery.

        Raises ValueError when a stage's result.json has gone since the stage reported it.
        """
        stages = finished_stages(request.stages)
        results = {stage: self._result_of(output) for stage, output in stages.items()}
        report = compose(request, stages, results)
        key = f"jobs/{request.job_id}/report.json"
        body = json.dumps(report.model_dump(by_alias=True, mode="json"), indent=2, ensure_ascii=False)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body.encode(), ContentType="application/json")
        outputs = outputs_of(stages, results) | {"report.json": f"s3://{self._bucket}/{key}"}
        return Delivery(outputs=outputs, metrics=headline(report), cost=report.cost)

    def _result_of(self, output: StageOutput) -> dict[str, Any]:
        uri = f"{output.output_uri}/result.json"
        result = read_json(self._s3, uri)
        if result is None:
            raise ValueError(f"no result at {uri}")
        return result


def outputs_of(stages: dict[Stage, StageOutput], results: dict[Stage, dict[str, Any]]) -> dict[str, str]:
    listed = {stage: {file["path"] for file in result["files"]} for stage, result in results.items()}
    files = {
        name: f"{stages[stage].output_uri}/{path}"
        for name, (stage, path) in DELIVERED.items()
        if path in listed.get(stage, set())
    }
    return files | {f"{stage}/result.json": f"{output.output_uri}/result.json" for stage, output in stages.items()}


def headline(report: Report) -> dict[str, Any]:
    """The figures of the Job Succeeded event."""
    figures = {
        "photos": report.photos,
        "registered": report.registered,
        "gaussians": report.gaussians,
        "psnr": report.psnr,
        "ssim": report.ssim,
        "bytes": report.bytes,
        "score": report.score,
        "seconds": report.seconds,
    }
    return {name: value for name, value in figures.items() if value is not None}
