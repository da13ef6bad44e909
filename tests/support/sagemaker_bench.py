"""The local SageMaker with tiny programs instead of containers, and moto for S3."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws

from local.address import Address
from local.ports import listeners
from local.sagemaker.container import ProcessImage
from local.sagemaker.job import TERMINAL
from local.sagemaker.runner import Access, Runner, SpotMarket
from local.sagemaker.server import SageMakerServer
from local.sagemaker.service import SageMaker

CALM = SpotMarket()
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/spaceport"
PROLOGUE = "import os, sys, time, signal, pathlib; ml = pathlib.Path(os.environ['ML_ROOT'])\n"
PROGRAMS = {
    "copy": "text = (ml/'processing/input/upload/photos.zip').read_text()\n"
    "(ml/'processing/output/out.txt').write_text(text.upper())",
    "complain": "(ml/'output/message').write_text('NO_OVERLAP: ' + 'x' * 2000)\n"
    "(ml/'processing/output/half.txt').write_text('half')\nsys.exit(1)",
    "train": "(ml/'model/scene.ply').write_text(os.environ['TRAINING_JOB_NAME'] + ' ' + ' '.join(sys.argv[1:]))\n"
    "(ml/'checkpoints/new.ckpt').write_text(' '.join(sorted(os.listdir(ml/'checkpoints'))))",
    "give-up": "(ml/'output/failure').write_text('OUT_OF_MEMORY: too many Gaussians')\nsys.exit(3)",
    "obey": "def leave(*_):\n    (ml/'model/partial.ply').write_text('so far')\n    sys.exit(1)\n"
    "signal.signal(signal.SIGTERM, leave)\n(ml/'checkpoints/ready').write_text('')\ntime.sleep(60)",
    "resist": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n(ml/'checkpoints/ready').write_text('')\n"
    "import subprocess; subprocess.run(['sleep', '60'])",
    "wait": "time.sleep(60)",
    "explain": "def leave(*_):\n    (ml/'processing/Continuous/last.txt').write_text('last')\n    sys.exit(1)\n"
    "signal.signal(signal.SIGTERM, leave)\n(ml/'processing/EndOfJob/result.txt').write_text('result')\n"
    "(ml/'processing/Continuous/seen.txt').write_text('seen')\ntime.sleep(60)",
    "go-on": "begun = ml/'checkpoints/begun'\n"
    "if not begun.exists():\n"
    "    (ml/'model/lost.ply').write_text('')\n    (ml/'first').write_text('first')\n"
    "    (ml/'first').replace(begun)\n    time.sleep(60)\n"
    "(ml/'model/scene.ply').write_text('')\n"
    "(ml/'model/scene.ply').write_text(begun.read_text() + ' second, model: ' + str(os.listdir(ml/'model')))",
    "die": "os.kill(os.getpid(), signal.SIGKILL)",
    "show": "print('seen in the log'); print(os.environ['NAME'], os.getcwd())",
}


IMAGES = {name: ProcessImage((sys.executable, "-c", PROLOGUE + program)) for name, program in PROGRAMS.items()}


SESSION = boto3.Session(aws_access_key_id="x", aws_secret_access_key="y", region_name="us-east-1")


class Bench:
    """A SageMaker server on a free port with moto's S3 behind it, and the events that it published."""

    def __init__(self, folder: Path, spot: SpotMarket = CALM) -> None:
        self.s3 = SESSION.client("s3")
        self.s3.create_bucket(Bucket="bucket")
        self.s3.put_object(Bucket="bucket", Key="in/photos.zip", Body=b"photos")
        self.events: list[dict[str, Any]] = []
        self.folder = folder
        access = Access(self.s3, {})
        runner = Runner(lambda job: access, folder, IMAGES, grace_seconds=1.0, checkpoint_sync_seconds=0.1, spot=spot)
        self.quotas: dict[str, int] = {}
        service = SageMaker(
            runner, lambda job: self.events.append(job.event_detail()), "eu-west-1", "123456789012", self.quotas
        )
        with listeners(1) as (listener,):
            self.server = SageMakerServer(service, listener.dup(), lambda *_: None)
        self.server.start()

    def process(self, name: str, image: str, **more: Any) -> dict[str, Any]:
        s3_input = {"S3Uri": "s3://bucket/in/photos.zip", "S3DataType": "S3Prefix", "S3InputMode": "File"}
        s3_output = {"S3Uri": "s3://bucket/out", "S3UploadMode": "EndOfJob", "LocalPath": "/opt/ml/processing/output"}
        request = {
            "ProcessingJobName": name,
            "RoleArn": ROLE,
            "AppSpecification": {"ImageUri": f"{REPOSITORY}/{image}:1"},
            "ProcessingInputs": [
                {"InputName": "upload", "S3Input": s3_input | {"LocalPath": "/opt/ml/processing/input/upload"}}
            ],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "output", "S3Output": s3_output}]},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
            },
        }
        created: dict[str, Any] = self.client.create_processing_job(**{**request, **more})
        return created

    def train(self, name: str, image: str, **more: Any) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}
        request = {
            "TrainingJobName": name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": f"{REPOSITORY}/{image}:1", "TrainingInputMode": "File"},
            "InputDataConfig": [{"ChannelName": "scene", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/3dgs", "CompressionType": "NONE"},
            "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.g4dn.xlarge", "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        created: dict[str, Any] = self.client.create_training_job(**{**request, **more})
        return created

    @property
    def client(self) -> Any:
        return self._client

    def open_client(self) -> None:
        """A client created outside moto, so that its calls use HTTP."""
        self._client = Address(0, self.server.port).client("sagemaker")

    def end_of(self, kind: str, name: str, timeout: float = 60.0) -> dict[str, Any]:
        describe = getattr(self.client, f"describe_{kind.lower()}_job")
        deadline = time.monotonic() + timeout
        job: dict[str, Any]
        while (job := describe(**{f"{kind}JobName": name}))[f"{kind}JobStatus"] not in TERMINAL:
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def wait_for_key(self, key: str, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while key not in self.stored():
            assert time.monotonic() < deadline, self.stored()
            time.sleep(0.02)

    def stored(self) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket="bucket").get("Contents", [])]

    def text(self, key: str) -> str:
        return str(self.s3.get_object(Bucket="bucket", Key=key)["Body"].read(), "utf-8")


@contextmanager
def opened(folder: Path, spot: SpotMarket = CALM) -> Iterator[Bench]:
    mock = mock_aws(config={"core": {"passthrough": {"urls": [r"http://127\.0\.0\.1:.*"]}}})
    with mock:
        bench = Bench(folder, spot)
        bench.open_client()
        yield bench
        bench.server.close()
