"""What the SageMaker SDK sends for the parameters of our requests; runs in the build environment, which has the SDK.

Reads {"processing": request, "training": request} on standard input and writes the SDK's requests in the same form.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.network import NetworkConfig
from sagemaker.processing import ProcessingInput, ProcessingOutput, Processor
from sagemaker.session import Session


class Recorder:
    """In place of boto3's SageMaker client: keeps what it is asked to create."""

    def __init__(self) -> None:
        self.requests: dict[str, Any] = {}
        self.meta = boto3.client("sagemaker", region_name="eu-west-1").meta

    def create_processing_job(self, **request: Any) -> dict[str, str]:
        self.requests["processing"] = request
        return {}

    def create_training_job(self, **request: Any) -> dict[str, str]:
        self.requests["training"] = request
        return {}


def session_of(recorder: Recorder) -> Session:
    boto = boto3.Session("a", "b", region_name="eu-west-1")
    return Session(boto, sagemaker_client=recorder, default_bucket="unused")


def process(given: dict[str, Any], session: Session) -> None:
    (read,), (write,) = given["ProcessingInputs"], given["ProcessingOutputConfig"]["Outputs"]
    cluster, network = given["ProcessingResources"]["ClusterConfig"], given["NetworkConfig"]
    processor = Processor(
        role=given["RoleArn"],
        image_uri=given["AppSpecification"]["ImageUri"],
        instance_count=cluster["InstanceCount"],
        instance_type=cluster["InstanceType"],
        volume_size_in_gb=cluster["VolumeSizeInGB"],
        max_runtime_in_seconds=given["StoppingCondition"]["MaxRuntimeInSeconds"],
        env=given["Environment"],
        tags=given["Tags"],
        sagemaker_session=session,
        network_config=NetworkConfig(
            encrypt_inter_container_traffic=network["EnableInterContainerTrafficEncryption"],
            subnets=network["VpcConfig"]["Subnets"],
            security_group_ids=network["VpcConfig"]["SecurityGroupIds"],
        ),
    )
    source, sink = read["S3Input"], write["S3Output"]
    processor.run(
        inputs=[
            ProcessingInput(
                source["S3Uri"],
                source["LocalPath"],
                read["InputName"],
                s3_data_type=source["S3DataType"],
                s3_input_mode=source["S3InputMode"],
            )
        ],
        outputs=[ProcessingOutput(sink["LocalPath"], sink["S3Uri"], write["OutputName"])],
        job_name=given["ProcessingJobName"],
        wait=False,
        logs=False,
    )


def train(given: dict[str, Any], session: Session) -> None:
    (channel,), machine, stop = given["InputDataConfig"], given["ResourceConfig"], given["StoppingCondition"]
    source = channel["DataSource"]["S3DataSource"]
    estimator = Estimator(
        image_uri=given["AlgorithmSpecification"]["TrainingImage"],
        role=given["RoleArn"],
        instance_count=machine["InstanceCount"],
        instance_type=machine["InstanceType"],
        volume_size=machine["VolumeSizeInGB"],
        max_run=stop["MaxRuntimeInSeconds"],
        max_wait=stop["MaxWaitTimeInSeconds"],
        use_spot_instances=given["EnableManagedSpotTraining"],
        input_mode=given["AlgorithmSpecification"]["TrainingInputMode"],
        output_path=given["OutputDataConfig"]["S3OutputPath"],
        disable_output_compression=given["OutputDataConfig"]["CompressionType"] == "NONE",
        checkpoint_s3_uri=given["CheckpointConfig"]["S3Uri"],
        checkpoint_local_path=given["CheckpointConfig"]["LocalPath"],
        encrypt_inter_container_traffic=given["EnableInterContainerTrafficEncryption"],
        subnets=given["VpcConfig"]["Subnets"],
        security_group_ids=given["VpcConfig"]["SecurityGroupIds"],
        environment=given["Environment"],
        tags=given["Tags"],
        disable_profiler=True,
        debugger_hook_config=False,
        sagemaker_session=session,
    )
    data = TrainingInput(source["S3Uri"], source["S3DataDistributionType"], s3_data_type=source["S3DataType"])
    estimator.fit({channel["ChannelName"]: data}, job_name=given["TrainingJobName"], wait=False, logs=False)


def main() -> None:
    given, recorder = json.load(sys.stdin), Recorder()
    session = session_of(recorder)
    process(given["processing"], session)
    train(given["training"], session)
    print(json.dumps(recorder.requests, default=str))


if __name__ == "__main__":
    main()
