"""Translate a job's request into plain values, the same for Processing and Training.

https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from local.sagemaker.validation import RequestError

ML = PurePosixPath("/opt/ml")
DAY_SECONDS = 86_400
DATA_TYPES = ("S3Prefix", "ManifestFile")


class Kind(StrEnum):
    PROCESSING = "Processing"
    TRAINING = "Training"


@dataclass(frozen=True)
class Transfer:
    """A folder, relative to the job's /opt/ml, and the S3 URI from which it is filled or to which it is copied.

    `manifest`: the URI names a list of objects instead of a prefix; `continuous`: the folder is copied while the
    container runs, whatever the exit code is.
    """

    folder: PurePosixPath
    uri: str
    manifest: bool = False
    continuous: bool = False


@dataclass(frozen=True)
class Plan:
    """The run of one container. `files` are written below /opt/ml before it starts; `arguments` follow the entry
    point."""

    kind: Kind
    image: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    inputs: tuple[Transfer, ...]
    outputs: tuple[Transfer, ...]
    max_runtime: float
    files: dict[PurePosixPath, str] = field(default_factory=dict)
    checkpoints: Transfer | None = None
    compress: bool = False  # Training: outputs as model.tar.gz
    leaves_output_when_stopped: bool = False
    max_wait: float | None = None  # Spot: seconds for waiting for machines and running, together


def plan_processing(request: Mapping[str, Any]) -> Plan:
    """The plan of a CreateProcessingJob request. Raises RequestError."""
    application = request["AppSpecification"]
    entry_point = application.get("ContainerEntrypoint")
    if entry_point:
        raise RequestError("ValidationException", "ContainerEntrypoint is not supported here: the image's own one runs")
    inputs = [given["S3Input"] for given in request.get("ProcessingInputs", [])]
    outputs = [given["S3Output"] for given in request.get("ProcessingOutputConfig", {}).get("Outputs", [])]
    return Plan(
        kind=Kind.PROCESSING,
        image=application["ImageUri"],
        arguments=tuple(application.get("ContainerArguments", ())),
        environment=dict(request.get("Environment", {})),
        inputs=tuple(_filled_from(given, _below_ml(given["LocalPath"], "processing")) for given in inputs),
        outputs=tuple(
            Transfer(
                _below_ml(given["LocalPath"], "processing"),
                given["S3Uri"],
                continuous=given["S3UploadMode"] == "Continuous",
            )
            for given in outputs
        ),
        max_runtime=request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DAY_SECONDS),
        files={
            PurePosixPath("config/processingjobconfig.json"): json.dumps(request),
            PurePosixPath("config/resourceconfig.json"): json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}),
        },
    )


def plan_training(request: Mapping[str, Any]) -> Plan:
    """The plan of a CreateTrainingJob request. Raises RequestError."""
    algorithm = request["AlgorithmSpecification"]
    if "TrainingImage" not in algorithm:
        raise RequestError("ValidationException", "AlgorithmSpecification.TrainingImage is missing")
    if request.get("EnableManagedSpotTraining"):
        _check_spot(request.get("StoppingCondition", {}))
    name, destination = request["TrainingJobName"], request["OutputDataConfig"]
    compress = destination.get("CompressionType", "GZIP") == "GZIP"
    output = f"{destination['S3OutputPath'].rstrip('/')}/{name}/output/model" + (".tar.gz" if compress else "/")
    channels = {channel["ChannelName"]: channel["DataSource"]["S3DataSource"] for channel in _channels(request)}
    file_mode = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
    checkpoint = request.get("CheckpointConfig")
    return Plan(
        kind=Kind.TRAINING,
        image=algorithm["TrainingImage"],
        arguments=tuple(algorithm.get("ContainerArguments", ("train",))),
        environment={"TRAINING_JOB_NAME": name} | request.get("Environment", {}),
        inputs=tuple(
            _filled_from(source, PurePosixPath("input/data") / channel) for channel, source in channels.items()
        ),
        outputs=(Transfer(PurePosixPath("model"), output),),
        max_runtime=request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DAY_SECONDS),
        files={
            PurePosixPath("input/config/hyperparameters.json"): json.dumps(request.get("HyperParameters", {})),
            PurePosixPath("input/config/resourceconfig.json"): json.dumps(hosts),
            PurePosixPath("input/config/inputdataconfig.json"): json.dumps(dict.fromkeys(channels, file_mode)),
        },
        checkpoints=checkpoint
        and Transfer(_below_ml(checkpoint.get("LocalPath", "/opt/ml/checkpoints"), ""), checkpoint["S3Uri"]),
        compress=compress,
        leaves_output_when_stopped=True,
        max_wait=request["StoppingCondition"]["MaxWaitTimeInSeconds"]
        if request.get("EnableManagedSpotTraining")
        else None,
    )


def _channels(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    channels: list[dict[str, Any]] = request.get("InputDataConfig", [])
    for channel in channels:
        source = channel["DataSource"].get("S3DataSource")
        if source is None or source["S3DataType"] not in DATA_TYPES:
            types = " and ".join(DATA_TYPES)
            raise RequestError("ValidationException", f"only S3DataSource channels of S3DataType {types} work here")
    return channels


def _filled_from(source: Mapping[str, Any], folder: PurePosixPath) -> Transfer:
    return Transfer(folder, source["S3Uri"], manifest=source["S3DataType"] == "ManifestFile")


def _check_spot(stopping: Mapping[str, Any]) -> None:
    if stopping.get("MaxWaitTimeInSeconds", 0) < stopping.get("MaxRuntimeInSeconds", DAY_SECONDS):
        message = "MaxWaitTimeInSeconds must be equal to or greater than MaxRuntimeInSeconds for managed spot training"
        raise RequestError("ValidationException", message)


def _below_ml(local_path: str, below: str) -> PurePosixPath:
    path, root = PurePosixPath(local_path), ML / below
    if not path.is_relative_to(root) or ".." in path.parts:
        raise RequestError("ValidationException", f"LocalPath must be below {root}: {local_path}")
    return path.relative_to(ML)
