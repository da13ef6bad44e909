"""Stages and stage runs: their names, and the SageMaker request of each. Pure: no AWS call here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from domain.job import Camel, Job, PipelineStep, Quality

MAX_JOB_NAME = 63  # CreateProcessingJob and CreateTrainingJob
INPUT_ROOT = "/opt/ml/processing/input"
OUTPUT_ROOT = "/opt/ml/processing/output"


class Stage(StrEnum):
    """Named as its container."""

    SFM = "sfm"
    TRAINING = "3dgs"
    COMPRESSOR = "compressor"

    @property
    def ordinal(self) -> int:
        return list(Stage).index(self) + 1

    @property
    def of_its_kind(self) -> list[Stage]:
        """The stages whose SageMaker jobs are of one kind with this stage's: they share the quotas of machines."""
        return [other for other in Stage if other.kind == self.kind]

    @property
    def kind(self) -> Literal["Processing", "Training"]:
        return "Training" if self is Stage.TRAINING else "Processing"

    @property
    def state_key(self) -> str:
        """Where its output stands in the state machine's data: a JSONPath name may not begin with a digit."""
        return {Stage.SFM: "sfm", Stage.TRAINING: "training", Stage.COMPRESSOR: "compressor"}[self]


@dataclass(frozen=True)
class Limits:
    """Seconds of compute a stage run may take; the state machine's timeout is longer (start-up, upload)."""

    max_runtime: int
    volume_gb: int


LIMITS = {
    Stage.SFM: Limits(max_runtime=3 * 3600, volume_gb=200),
    Stage.TRAINING: Limits(max_runtime=6 * 3600, volume_gb=100),
    Stage.COMPRESSOR: Limits(max_runtime=3600, volume_gb=50),
}
SPOT_WAIT_SECONDS = 3600  # how long a Spot training job may wait for capacity on top of its runtime

STAGES_OF: dict[PipelineStep, tuple[Stage, ...]] = {
    PipelineStep.FULL: (Stage.SFM, Stage.TRAINING, Stage.COMPRESSOR),
    PipelineStep.TRAINING: (Stage.TRAINING, Stage.COMPRESSOR),
    PipelineStep.COMPRESSION: (Stage.COMPRESSOR,),
}


class StageRun(Camel):
    """One attempt at a stage of a job: one SageMaker job, whose name this is in other words."""

    job_id: str
    stage: Stage
    attempt: int

    @property
    def job_name(self) -> str:
        """SageMaker's job name. Raises ValueError past 63 characters, rather than cutting it silently."""
        name = f"{self.job_id}-{self.stage}-{self.attempt}"
        if len(name) > MAX_JOB_NAME:
            raise ValueError(f"SageMaker job name {name!r} is longer than {MAX_JOB_NAME} characters")
        return name

    @property
    def next_attempt(self) -> StageRun:
        return self.model_copy(update={"attempt": self.attempt + 1})

    @classmethod
    def parse(cls, job_name: str) -> StageRun | None:
        """The stage run a SageMaker job name stands for, or None for somebody else's job."""
        match = re.fullmatch(r"(.+)-(sfm|3dgs|compressor)-([1-9][0-9]*)", job_name)
        return cls(job_id=match[1], stage=Stage(match[2]), attempt=int(match[3])) if match else None

    @classmethod
    def of_event(cls, detail: Mapping[str, Any]) -> StageRun | None:
        """The stage run that a SageMaker state change is about, or None for somebody else's job."""
        return cls.parse(detail.get("ProcessingJobName") or detail.get("TrainingJobName") or "")


class Course(Camel):
    """How an attempt goes about its stage: the cap on Gaussians is divided by `divisor`, the checkpoints are those
    that attempt `since` began."""

    divisor: int = 1
    since: int = 1


def next_course(course: Course, next_attempt: int, out_of_memory: bool) -> Course:
    """Go on from the checkpoint; but where memory ran out, begin again with half of the Gaussians: the checkpoint
    holds too many already."""
    return Course(divisor=course.divisor * 2, since=next_attempt) if out_of_memory else course


class StageOutput(Camel):
    """What a finished stage run hands to the state machine."""

    stage: Stage
    attempt: int
    output_uri: str
    counts: dict[str, int]
    metrics: dict[str, Any]
    warnings: list[dict[str, Any]]
    seconds: float
    cost: dict[str, float]


class Platform(Camel):
    """Where stages run: the images, machines, role, buckets and network that the template decides."""

    images: dict[Stage, str]
    instance_types: dict[Stage, dict[Quality, str]]
    role_arn: str
    results_bucket: str
    status_bus: str
    spot_training: bool
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()

    def instance_type(self, stage: Stage, job: Job) -> str:
        return self.instance_types[stage][job.options.quality]

    @property
    def network(self) -> dict[str, Any]:
        """The request's VpcConfig; none without a network of our own."""
        config = {"Subnets": list(self.subnets), "SecurityGroupIds": list(self.security_groups)}
        return {"VpcConfig": config} if self.subnets else {}


def folder_of(run: StageRun, results_bucket: str) -> str:
    """S3 folder of a run's job: what customers get is kept, what only later stages read expires after 14 days."""
    kept = "jobs" if run.stage is Stage.COMPRESSOR else "intermediates"
    return f"s3://{results_bucket}/{kept}/{run.job_id}"


def instance_type_in(request: Mapping[str, Any]) -> str:
    """The type of machine that a Create request asks for."""
    resources = (
        request["ResourceConfig"] if "ResourceConfig" in request else request["ProcessingResources"]["ClusterConfig"]
    )
    machine: str = resources["InstanceType"]
    return machine


def output_uri(run: StageRun, results_bucket: str) -> str:
    """S3 folder of the run's output, without a slash at the end."""
    base = f"{folder_of(run, results_bucket)}/{run.stage}"
    return f"{base}/{run.job_name}/output/model" if run.stage.kind == "Training" else f"{base}/{run.attempt}"


class Manifest(Camel):
    """A list of the objects that a run reads, for `uri`."""

    uri: str
    body: str


def manifest_of(run: StageRun, job: Job, results_bucket: str) -> Manifest | None:
    """The list that names the upload, for the first stage of a job; None for the others, which read whole folders.

    The upload's own URI would be a prefix to SageMaker: `a.zip` finds `a.zip.bak`, too.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
    """
    if run.stage is not STAGES_OF[job.options.pipeline_step][0]:
        return None
    folder, slash, name = job.key.rpartition("/")
    body = json.dumps([{"prefix": f"s3://{job.bucket}/{folder}{slash}"}, name])
    return Manifest(uri=f"s3://{results_bucket}/intermediates/{run.job_id}/upload.manifest", body=body)


def source_of(run: StageRun, job: Job, finished: dict[Stage, StageOutput], results_bucket: str) -> dict[str, str]:
    """What the run reads: the output of the stage before it, or the upload for the first stage of the job."""
    manifest = manifest_of(run, job, results_bucket)
    if manifest is not None:
        return {"S3DataType": "ManifestFile", "S3Uri": manifest.uri}
    stages = STAGES_OF[job.options.pipeline_step]
    before = finished[stages[stages.index(run.stage) - 1]]
    return {"S3DataType": "S3Prefix", "S3Uri": before.output_uri + "/"}


def environment(run: StageRun, job: Job, platform: Platform, course: Course) -> dict[str, str]:
    """The container's variables (docs/contracts.md)."""
    options = job.options
    wishes = {
        "TRAINING_STEPS": options.training_steps,
        "MAX_GAUSSIANS": options.max_gaussians,
        "SH_DEGREE": options.sh_degree,
        "GAUSSIANS_DIVISOR": course.divisor if course.divisor > 1 else None,
    }
    return {
        "JOB_ID": run.job_id,
        "ATTEMPT": str(run.attempt),
        "STATUS_BUS": platform.status_bus,
        "QUALITY": options.quality,
        "SCENE_NAME": job.name,
        **{name: str(value) for name, value in wishes.items() if value is not None},
    }


class Machine(Camel):
    """What a stage run gets to work with: one instance, for `seconds` at most."""

    instance_type: str
    seconds: int


def machine_for(run: StageRun, job: Job, platform: Platform, affordable: int) -> Machine:
    """`affordable`: seconds that the job's budget still pays for."""
    return Machine(
        instance_type=platform.instance_type(run.stage, job), seconds=min(LIMITS[run.stage].max_runtime, affordable)
    )


def create_request(
    run: StageRun, job: Job, finished: dict[Stage, StageOutput], platform: Platform, course: Course, machine: Machine
) -> dict[str, Any]:
    """The arguments of CreateProcessingJob or CreateTrainingJob for this run."""
    source = source_of(run, job, finished, platform.results_bucket)
    variables = environment(run, job, platform, course)
    if run.stage.kind == "Training":
        return _training_request(run, variables, source, platform, course, machine)
    return _processing_request(run, variables, source, platform, machine)


def _processing_request(
    run: StageRun, variables: dict[str, str], source: dict[str, str], platform: Platform, machine: Machine
) -> dict[str, Any]:
    channel = "upload" if run.stage is Stage.SFM else "model"
    return {
        "ProcessingJobName": run.job_name,
        "RoleArn": platform.role_arn,
        "AppSpecification": {"ImageUri": platform.images[run.stage]},
        "Environment": variables,
        "ProcessingInputs": [
            {
                "InputName": channel,
                "S3Input": {**source, "LocalPath": f"{INPUT_ROOT}/{channel}", "S3InputMode": "File"},
            }
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "output",
                    "S3Output": {
                        "S3Uri": output_uri(run, platform.results_bucket),
                        "LocalPath": OUTPUT_ROOT,
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": machine.instance_type,
                "VolumeSizeInGB": LIMITS[run.stage].volume_gb,
            }
        },
        "NetworkConfig": {"EnableInterContainerTrafficEncryption": True, **platform.network},
        "StoppingCondition": {"MaxRuntimeInSeconds": machine.seconds},
        "Tags": _tags(run),
    }


def _training_request(
    run: StageRun,
    variables: dict[str, str],
    source: dict[str, str],
    platform: Platform,
    course: Course,
    machine: Machine,
) -> dict[str, Any]:
    stopping = {"MaxRuntimeInSeconds": machine.seconds}
    if platform.spot_training:
        stopping["MaxWaitTimeInSeconds"] = machine.seconds + SPOT_WAIT_SECONDS
    folder = folder_of(run, platform.results_bucket)
    return {
        "TrainingJobName": run.job_name,
        "RoleArn": platform.role_arn,
        "AlgorithmSpecification": {"TrainingImage": platform.images[run.stage], "TrainingInputMode": "File"},
        "Environment": variables,
        "InputDataConfig": [
            {
                "ChannelName": "scene",
                "DataSource": {"S3DataSource": {**source, "S3DataDistributionType": "FullyReplicated"}},
            }
        ],
        # uncompressed, so that the next stage and the report read single files instead of one large archive
        "OutputDataConfig": {"S3OutputPath": f"{folder}/{run.stage}", "CompressionType": "NONE"},
        # shared by the attempts of a course: a retry goes on from the checkpoint of the one before
        "CheckpointConfig": {"S3Uri": f"{folder}/checkpoints/{course.since}/", "LocalPath": "/opt/ml/checkpoints"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": machine.instance_type,
            "VolumeSizeInGB": LIMITS[run.stage].volume_gb,
        },
        "EnableInterContainerTrafficEncryption": True,
        **platform.network,
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": platform.spot_training,
        "Tags": _tags(run),
    }


def _tags(run: StageRun) -> list[dict[str, str]]:
    return [{"Key": "spaceport:job", "Value": run.job_id}, {"Key": "spaceport:stage", "Value": run.stage}]


def finished_stages(stages: dict[str, Any]) -> dict[Stage, StageOutput]:
    """Read `$.stages` of the state machine's data."""
    keys = {stage.state_key: stage for stage in Stage}
    return {keys[key]: StageOutput.model_validate(value) for key, value in stages.items()}


def state_output(output: StageOutput) -> str:
    """JSON for SendTaskSuccess."""
    return json.dumps(output.model_dump(by_alias=True, mode="json"))
