"""Compose the SageMaker request of a stage run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from contract.blocks import BLOCK_VARIABLE, COARSE_CHANNEL, BlockName
from contract.branding import BRANDING, Company
from contract.options import TEXTS, WHOLE_NUMBERS, Quality
from contract.stages import (
    EVIDENCE_FOLDER,
    PIPELINE_STEP_VARIABLE,
    SPOT_WAIT_SECONDS,
    PipelineStep,
    Stage,
    block_label,
)
from domain import layout
from domain.cost import Prices
from domain.job import Camel, Job, JobOptions
from domain.stages import RetryState, StageOutput, StageRun

ML = PurePosixPath("/opt/ml")
CAMERAS = "cameras"  # the compressor's second input: structure from motion's output, for the survey products
MARGIN_SECONDS = 900


class MachineChoice(Camel):
    """An instance type, on Spot capacity or on demand."""

    instance_type: str
    spot: bool = False


class Platform(Camel):
    """Where stages run: the images, instance types, role, buckets and network that the template decides, what the
    machines cost there, and whose reports they write."""

    stack: str
    images: dict[Stage, str]
    instance_types: dict[Stage, dict[Quality, tuple[str, ...]]]
    role_arn: str
    results_bucket: str
    results_key_arn: str
    status_bus: str
    spot_training: bool
    prices: Prices = Prices()
    company: Company = Company()
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()

    def machines(self, stage: Stage, quality: Quality) -> tuple[MachineChoice, ...]:
        """What a stage may run on, in the order in which it is tried: Spot, the same on demand, then other types."""
        types = self.instance_types[stage][quality]
        on_demand = tuple(MachineChoice(instance_type=instance_type) for instance_type in types)
        if stage.kind == "Training" and self.spot_training:
            return (MachineChoice(instance_type=types[0], spot=True), *on_demand)
        return on_demand

    def has_alternative(self, stage: Stage, instance_type: str) -> bool:
        """Whether a run of the stage that finds no such machine may be tried on another."""
        return any(
            len(self.machines(stage, quality)) > 1
            for quality, types in self.instance_types[stage].items()
            if instance_type in types
        )

    @property
    def network(self) -> dict[str, Any]:
        """The request's VpcConfig; none without a network of our own."""
        config = {"Subnets": list(self.subnets), "SecurityGroupIds": list(self.security_groups)}
        return {"VpcConfig": config} if self.subnets else {}


def instance_type_in(request: Mapping[str, Any]) -> str:
    """The instance type that a Create request asks for."""
    resources = (
        request["ResourceConfig"] if "ResourceConfig" in request else request["ProcessingResources"]["ClusterConfig"]
    )
    instance_type: str = resources["InstanceType"]
    return instance_type


def quota_of(request: Mapping[str, Any]) -> str:
    """AWS's name of the quota that a Create request uses; Spot capacity has separate quotas."""
    on_demand = "training job" if "ResourceConfig" in request else "processing job"
    usage = "spot training job" if request.get("EnableManagedSpotTraining") else on_demand
    return f"{instance_type_in(request)} for {usage} usage"


# variables that differ between two runs that do the same work
_OF_A_RUN = {"JOB_ID", "ATTEMPT", "STATUS_BUS", "GAUSSIANS_DIVISOR", "TRAINING_SECONDS"}.union(
    text.variable for text in TEXTS.values()
)


def same_work(request: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two training jobs, as requested or described, have the same inputs and options. Run, machine and time
    limit may differ."""
    return _work_in(request) == _work_in(other)


def _work_in(request: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    variables = {name: text for name, text in request["Environment"].items() if name not in _OF_A_RUN}
    channels = request["InputDataConfig"]
    return variables, {each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in channels}


def max_seconds_in(request: Mapping[str, Any]) -> int:
    """The time limit of the job in a Create request."""
    seconds: int = request["StoppingCondition"]["MaxRuntimeInSeconds"]
    return seconds


def reads_upload(run: StageRun, job: Job) -> bool:
    """Whether the run is of the job's first stage."""
    return run.stage is job.options.pipeline_step.stages[0]


def source_of(run: StageRun, job: Job, finished: dict[Stage, StageOutput], results_bucket: str) -> dict[str, str]:
    """The run's input: the copy of the upload for the job's first stage, otherwise the output of the previous stage.

    A prefix ends with a slash, because for SageMaker the prefix `a` also matches `a.bak`.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
    """
    if reads_upload(run, job):
        folder = layout.upload_folder(job.job_id, results_bucket)
    else:
        stages = job.options.pipeline_step.stages
        folder = finished[stages[stages.index(run.stage) - 1]].output_uri
    return (
        part_of_scene(folder, run.block) if run.block is not None else {"S3DataType": "S3Prefix", "S3Uri": folder + "/"}
    )


def part_of_scene(scene: str, block: BlockName) -> dict[str, str]:
    """The input of a part of a large flight: the objects in structure from motion's output `scene` that a manifest
    lists."""
    return _listed(layout.manifest_uri(scene, block_label(block)))


def coarse_model(folder: str) -> dict[str, str]:
    """The input of a block from the coarse model in `folder`."""
    return _listed(layout.manifest_uri(folder, "behind"))


def _listed(uri: str) -> dict[str, str]:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html, ManifestFile"""
    return {"S3DataType": "ManifestFile", "S3Uri": uri}


def is_given(stage: Stage, options: JobOptions) -> bool:
    """Whether structure from motion's container receives a scene that has its cameras, and only divides it into
    blocks."""
    return stage is Stage.SFM and options.pipeline_step is PipelineStep.SCENE


def makes_survey_products(stage: Stage, options: JobOptions) -> bool:
    """Whether the stage makes survey products, for which it reads structure from motion's output, too. A scene that
    came with its cameras has no survey."""
    return stage is Stage.COMPRESSOR and options.products != 0 and options.pipeline_step is PipelineStep.FULL


def survey_source(run: StageRun, job: Job, finished: dict[Stage, StageOutput]) -> dict[str, str] | None:
    """The compressor's second input, for the survey products; None if the customer does not want any, or if the job
    had no photos. It leaves out the sparse models of a large flight: gigabytes that the compressor does not read.
    """
    if Stage.SFM not in finished or not makes_survey_products(run.stage, job.options):
        return None
    scene = finished[Stage.SFM]
    if is_large(scene):
        return _listed(layout.manifest_uri(scene.output_uri, "survey"))
    return {"S3DataType": "S3Prefix", "S3Uri": scene.output_uri + "/"}


def is_large(scene: StageOutput) -> bool:
    """Whether structure from motion has planned blocks."""
    return scene.counts.get("blocks", 1) > 1


def environment(run: StageRun, job: Job, status_bus: str, retry_state: RetryState) -> dict[str, str]:
    """The container's variables (docs/contracts.md)."""
    options = job.options
    numbers = {number.variable: getattr(options, name) for name, number in WHOLE_NUMBERS.items()}
    texts = {text.variable: getattr(options, name) for name, text in TEXTS.items()}
    texts[TEXTS["name"].variable] = job.name
    divisor = retry_state.gaussian_divisor
    numbers["GAUSSIANS_DIVISOR"] = divisor if divisor > 1 else None
    return {
        "JOB_ID": run.job_id,
        "ATTEMPT": str(run.attempt),
        **({} if run.block is None else {BLOCK_VARIABLE: str(run.block)}),
        "STATUS_BUS": status_bus,
        **({PIPELINE_STEP_VARIABLE: options.pipeline_step} if is_given(run.stage, options) else {}),
        "QUALITY": options.quality,
        **{name: str(value) for name, value in (texts | numbers).items() if value is not None},
    }


class Machine(Camel):
    """The resources of a stage run: one instance, for at most `seconds`."""

    instance_type: str
    spot: bool
    seconds: int


def training_seconds(machine: Machine) -> int:
    """Seconds after which training must stop, so that a run with a limit of time or money still delivers a splat: the
    machine's seconds minus those for loading, scoring, writing and shutting down."""
    return max(1, machine.seconds - min(MARGIN_SECONDS, machine.seconds // 4))


def machine_for(stage: Stage, choice: MachineChoice, affordable: int) -> Machine:
    """`affordable`: seconds that the job's budget still pays for."""
    seconds = min(stage.spec.max_runtime, affordable)
    return Machine(instance_type=choice.instance_type, spot=choice.spot, seconds=seconds)


def create_request(
    run: StageRun,
    job: Job,
    finished: dict[Stage, StageOutput],
    platform: Platform,
    retry_state: RetryState,
    machine: Machine,
    coarse: StageOutput | None = None,
) -> dict[str, Any]:
    """The arguments of CreateProcessingJob or CreateTrainingJob for this run. `coarse`: the coarse model of a large
    flight, which is the background of each block."""
    source = source_of(run, job, finished, platform.results_bucket)
    variables = environment(run, job, platform.status_bus, retry_state)
    if run.stage.kind == "Training":
        variables["TRAINING_SECONDS"] = str(training_seconds(machine))
        sources = {run.stage.spec.channel: source}
        if isinstance(run.block, int) and coarse is not None:
            sources[COARSE_CHANNEL] = coarse_model(coarse.output_uri)
        return _training_request(run, variables, sources, platform, retry_state, machine)
    inputs = {run.stage.spec.channel: source}
    survey = survey_source(run, job, finished)
    if survey is not None:
        inputs[CAMERAS] = survey
        variables |= platform.company.variables
        if platform.company.logo:
            folder = layout.branding_folder(job.job_id, platform.results_bucket)
            inputs[BRANDING] = {"S3DataType": "S3Prefix", "S3Uri": folder + "/"}
    return _processing_request(run, variables, inputs, platform, machine)


def _processing_request(
    run: StageRun, variables: dict[str, str], inputs: dict[str, dict[str, str]], platform: Platform, machine: Machine
) -> dict[str, Any]:
    return {
        "ProcessingJobName": run.job_name,
        "RoleArn": platform.role_arn,
        "AppSpecification": {"ImageUri": platform.images[run.stage]},
        "Environment": variables,
        "ProcessingInputs": [
            {
                "InputName": channel,
                "S3Input": {**source, "LocalPath": str(ML / run.stage.channel_folder(channel)), "S3InputMode": "File"},
            }
            for channel, source in inputs.items()
        ],
        "ProcessingOutputConfig": {"Outputs": _outputs(run, platform), "KmsKeyId": platform.results_key_arn},
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": machine.instance_type,
                "VolumeSizeInGB": run.stage.spec.volume_gb,
            }
        },
        "NetworkConfig": {"EnableInterContainerTrafficEncryption": True, **platform.network},
        "StoppingCondition": {"MaxRuntimeInSeconds": machine.seconds},
        "Tags": _tags(run, platform),
    }


def _outputs(run: StageRun, platform: Platform) -> list[dict[str, Any]]:
    result = layout.output_uri(run, platform.results_bucket)
    outputs = [("output", result, run.stage.output_folder, "EndOfJob")]
    if run.stage.spec.leaves_evidence:  # while the container runs: it ends with an error, and with no result
        evidence = layout.evidence_uri(run.job_id, run.stage, platform.results_bucket)
        outputs.append(("evidence", evidence, EVIDENCE_FOLDER, "Continuous"))
    return [
        {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": str(ML / folder), "S3UploadMode": mode}}
        for name, uri, folder, mode in outputs
    ]


def _training_request(
    run: StageRun,
    variables: dict[str, str],
    sources: dict[str, dict[str, str]],
    platform: Platform,
    retry_state: RetryState,
    machine: Machine,
) -> dict[str, Any]:
    stopping = {"MaxRuntimeInSeconds": machine.seconds}
    if machine.spot:
        stopping["MaxWaitTimeInSeconds"] = machine.seconds + SPOT_WAIT_SECONDS
    return {
        "TrainingJobName": run.job_name,
        "RoleArn": platform.role_arn,
        "AlgorithmSpecification": {"TrainingImage": platform.images[run.stage], "TrainingInputMode": "File"},
        "Environment": variables,
        "InputDataConfig": [
            {
                "ChannelName": channel,
                "DataSource": {"S3DataSource": {**source, "S3DataDistributionType": "FullyReplicated"}},
            }
            for channel, source in sources.items()
        ],
        # uncompressed, so that the next stage and the report read single files instead of one large archive; without a
        # key SageMaker encrypts with the account's own for S3, whatever the bucket's default is
        "OutputDataConfig": {
            "S3OutputPath": layout.training_uri(run, platform.results_bucket),
            "CompressionType": "NONE",
            "KmsKeyId": platform.results_key_arn,
        },
        # a retry continues from the checkpoint of an earlier attempt
        "CheckpointConfig": {
            "S3Uri": layout.checkpoints_uri(run, retry_state.checkpoint_attempt, platform.results_bucket),
            "LocalPath": "/opt/ml/checkpoints",
        },
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": machine.instance_type,
            "VolumeSizeInGB": run.stage.spec.volume_gb,
        },
        "EnableInterContainerTrafficEncryption": True,
        **platform.network,
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": machine.spot,
        "Tags": _tags(run, platform),
    }


def _tags(run: StageRun, platform: Platform) -> list[dict[str, str]]:
    """The roles' policies compare `spaceport:stack`: a stack may stop only its own jobs."""
    tags = {"spaceport:stack": platform.stack, "spaceport:job": run.job_id, "spaceport:stage": run.stage}
    return [{"Key": key, "Value": value} for key, value in tags.items()]
