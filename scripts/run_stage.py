"""Repeat one stage of one job with the SageMaker SDK, to try an image on a real instance.

    .venv-build/bin/python -m scripts.run_stage JOB STAGE --image URI [--attempt N] [--block b07] [--instance-type TYPE]
        [--wait]

The run has the inputs, role, network and limits of the job's earlier run, and writes its output beside that run's. It
publishes no events, and its name and tags match no run of the pipeline.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import Any

import boto3
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.network import NetworkConfig
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor
from sagemaker.session import Session

from contract.stages import MAX_JOB_NAME, JobName, Stage, block_labelled

_OF_THE_PIPELINE = ("STATUS_BUS",)
TAGS = [{"Key": "spaceport:debug", "Value": "true"}]


def process(given: dict[str, Any], session: Session, wait: bool = False) -> None:
    """Start the processing job of a Create request by the SDK's Processor."""
    cluster, network = given["ProcessingResources"]["ClusterConfig"], given.get("NetworkConfig", {})
    processor = Processor(
        role=given["RoleArn"],
        image_uri=given["AppSpecification"]["ImageUri"],
        instance_count=cluster["InstanceCount"],
        instance_type=cluster["InstanceType"],
        volume_size_in_gb=cluster["VolumeSizeInGB"],
        output_kms_key=given["ProcessingOutputConfig"].get("KmsKeyId"),
        max_runtime_in_seconds=given["StoppingCondition"]["MaxRuntimeInSeconds"],
        env=given["Environment"],
        tags=given["Tags"],
        sagemaker_session=session,
        network_config=NetworkConfig(
            encrypt_inter_container_traffic=network.get("EnableInterContainerTrafficEncryption"),
            subnets=network.get("VpcConfig", {}).get("Subnets"),
            security_group_ids=network.get("VpcConfig", {}).get("SecurityGroupIds"),
        ),
    )
    processor.run(
        inputs=[
            ProcessingInput(
                read["S3Input"]["S3Uri"],
                read["S3Input"]["LocalPath"],
                read["InputName"],
                s3_data_type=read["S3Input"]["S3DataType"],
                s3_input_mode=read["S3Input"]["S3InputMode"],
            )
            for read in given["ProcessingInputs"]
        ],
        outputs=[
            ProcessingOutput(
                write["S3Output"]["LocalPath"],
                write["S3Output"]["S3Uri"],
                write["OutputName"],
                s3_upload_mode=write["S3Output"]["S3UploadMode"],
            )
            for write in given["ProcessingOutputConfig"]["Outputs"]
        ],
        job_name=given["ProcessingJobName"],
        wait=wait,
        logs=wait,
    )


def train(given: dict[str, Any], session: Session, wait: bool = False) -> None:
    """Start the training job of a Create request by the SDK's Estimator."""
    machine, stop, network = given["ResourceConfig"], given["StoppingCondition"], given.get("VpcConfig", {})
    estimator = Estimator(
        image_uri=given["AlgorithmSpecification"]["TrainingImage"],
        role=given["RoleArn"],
        instance_count=machine["InstanceCount"],
        instance_type=machine["InstanceType"],
        volume_size=machine["VolumeSizeInGB"],
        max_run=stop["MaxRuntimeInSeconds"],
        max_wait=stop.get("MaxWaitTimeInSeconds"),
        use_spot_instances=given["EnableManagedSpotTraining"],
        input_mode=given["AlgorithmSpecification"]["TrainingInputMode"],
        output_path=given["OutputDataConfig"]["S3OutputPath"],
        disable_output_compression=given["OutputDataConfig"]["CompressionType"] == "NONE",
        output_kms_key=given["OutputDataConfig"].get("KmsKeyId"),
        checkpoint_s3_uri=given["CheckpointConfig"]["S3Uri"],
        checkpoint_local_path=given["CheckpointConfig"]["LocalPath"],
        encrypt_inter_container_traffic=given["EnableInterContainerTrafficEncryption"],
        subnets=network.get("Subnets"),
        security_group_ids=network.get("SecurityGroupIds"),
        environment=given["Environment"],
        tags=given["Tags"],
        disable_profiler=True,
        debugger_hook_config=False,
        sagemaker_session=session,
    )
    inputs = {channel["ChannelName"]: _input_of(channel) for channel in given["InputDataConfig"]}
    estimator.fit(inputs, job_name=given["TrainingJobName"], wait=wait, logs=wait)


def _input_of(channel: dict[str, Any]) -> TrainingInput:
    source = channel["DataSource"]["S3DataSource"]
    return TrainingInput(source["S3Uri"], source["S3DataDistributionType"], s3_data_type=source["S3DataType"])


def debug_request(
    described: dict[str, Any], name: JobName, image: str, instance_type: str | None, at: datetime
) -> dict[str, Any]:
    """The request of the debug run, on demand, from Describe's answer about the earlier run `name`. Pure."""
    given: dict[str, Any] = json.loads(json.dumps(described, default=str))
    stamp = f"debug-{at:%m%d%H%M%S}"
    kind = name.stage.kind
    # no number at the end, so that it is not taken for a run of the pipeline
    given[f"{kind}JobName"] = f"{str(name)[: MAX_JOB_NAME - len(stamp) - 2]}-{stamp}x"
    given["Environment"] = {key: text for key, text in given["Environment"].items() if key not in _OF_THE_PIPELINE}
    given["Tags"] = TAGS
    if kind == "Training":
        given["AlgorithmSpecification"]["TrainingImage"] = image
        given["EnableManagedSpotTraining"] = False
        given["StoppingCondition"].pop("MaxWaitTimeInSeconds", None)
        given["CheckpointConfig"]["S3Uri"] = f"{given['CheckpointConfig']['S3Uri'].rstrip('/')}/{stamp}/"
        machine = given["ResourceConfig"]
    else:
        given["AppSpecification"]["ImageUri"] = image
        for output in given["ProcessingOutputConfig"]["Outputs"]:
            output["S3Output"]["S3Uri"] = f"{output['S3Output']['S3Uri'].rstrip('/')}-{stamp}"
        machine = given["ProcessingResources"]["ClusterConfig"]
    machine["InstanceType"] = instance_type or machine["InstanceType"]
    return given


def run(sagemaker: Any, session: Session, arguments: argparse.Namespace, at: datetime) -> str:
    """Start the debug run; returns the name of its SageMaker job."""
    name = JobName(arguments.job, Stage(arguments.stage), arguments.attempt, arguments.block)
    kind = name.stage.kind
    described = getattr(sagemaker, f"describe_{kind.lower()}_job")(**{f"{kind}JobName": str(name)})
    request = debug_request(described, name, arguments.image, arguments.instance_type, at)
    (train if kind == "Training" else process)(request, session, arguments.wait)
    return str(request[f"{kind}JobName"])


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("job", help="jobId")
    parser.add_argument("stage", choices=[stage.value for stage in Stage])
    parser.add_argument("--image", required=True, help="URI of the image to try, in ECR")
    parser.add_argument("--attempt", type=int, default=1, help="of the earlier run whose inputs are taken")
    parser.add_argument("--block", type=block_labelled, help="of a large flight, as in the run's name: b07, coarse")
    parser.add_argument("--instance-type", help="instead of that of the earlier run")
    parser.add_argument("--wait", action="store_true", help="print the log until the run ends")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    sagemaker = boto3.client("sagemaker")
    print(run(sagemaker, Session(sagemaker_client=sagemaker), parse(arguments), datetime.now(UTC)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
