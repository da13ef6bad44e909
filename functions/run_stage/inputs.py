"""Write lists of the objects that runs of a large flight read from earlier outputs, in SageMaker's form (ManifestFile).

A flight of 5,000 photos has tens of gigabytes, of which a block reads a tenth. The lists are not written by the
containers, because these read customers' files, and a list can name any object that the machines' role may read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from contract.blocks import COARSE_FILES, read_by, read_for_survey
from contract.stages import Stage
from domain.blocks import read_block_photos
from domain.job import Job
from domain.layout import RESULT, split_uri
from domain.results import DamagedResult, read_result
from domain.sagemaker_requests import coarse_model, is_large, part_of_scene, survey_source
from domain.stages import StageOutput, StageRun


class InputLists:
    """`s3` is a boto3 client. Equal runs write equal lists, so calls may be repeated and run in parallel."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def write(self, run: StageRun, job: Job, finished: dict[Stage, StageOutput], coarse: StageOutput | None) -> None:
        """Write the lists that the run's request names (domain.sagemaker_requests). Raises DamagedResult if the result
        of an earlier stage is gone or malformed."""
        scene = finished.get(Stage.SFM)
        if scene is None or not (run.block is not None or is_large(scene)):
            return
        if run.block is not None:
            photos = {photo.name for photo in read_block_photos(self._s3, scene.output_uri, run.block)}
            is_read = read_by(run.block, photos)
            self._put(part_of_scene(scene.output_uri, run.block), scene, filter(is_read, self._files(job, scene)))
        if isinstance(run.block, int) and coarse is not None:
            self._put(coarse_model(coarse.output_uri), coarse, COARSE_FILES)
        survey = survey_source(run, job, finished)
        if survey is not None:
            self._put(survey, scene, filter(read_for_survey, self._files(job, scene)))

    def _files(self, job: Job, scene: StageOutput) -> list[str]:
        """The files of structure from motion's output: those that its result lists, and the result itself."""
        run = StageRun(job_id=job.job_id, stage=scene.stage, attempt=scene.attempt)
        result = read_result(self._s3, scene.output_uri, run)
        if result is None:
            raise DamagedResult(f"{scene.stage}: the result is gone")
        return [RESULT, *(file.path for file in result.files)]

    def _put(self, source: dict[str, str], output: StageOutput, names: Iterable[str]) -> None:
        bucket, key = split_uri(source["S3Uri"])
        document = [{"prefix": f"{output.output_uri}/"}, *names]
        self._s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(document).encode(), ContentType="application/json")
