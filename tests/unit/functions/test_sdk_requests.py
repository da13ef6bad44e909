"""Our Create requests beside those of the SageMaker SDK's Processor and Estimator for the same parameters."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from contract.stages import Stage
from tests.unit.functions.test_stage_requests import request

ROOT = Path(__file__).parents[3]
PYTHON = Path(os.environ.get("SPACEPORT_BUILD_PYTHON", ROOT / ".venv-build" / "bin" / "python"))
NETWORK = {"VpcConfig": {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}}
# what the SDK writes out and the API takes for granted
DEFAULTS: dict[str, Any] = {
    "AppManaged": False,
    "S3CompressionType": "None",
    "S3DataDistributionType": "FullyReplicated",
    "EnableNetworkIsolation": False,
    "CompressionType": "None",
    # the debugger and profiler are off, and without hyperparameters there are none
    "ProfilerConfig": {"DisableProfiler": True},
    "HyperParameters": {},
}


def ours() -> dict[str, Any]:
    processing, training = request(Stage.SFM), request(Stage.TRAINING)
    processing["NetworkConfig"] |= NETWORK
    return {"processing": processing, "training": training | NETWORK}


@cache
def sdks() -> dict[str, Any]:
    if not PYTHON.is_file():
        pytest.fail(f"There is no build environment at {PYTHON}: run `make setup`.", pytrace=False)
    script = ROOT / "tests" / "support" / "sdk_requests.py"
    done = subprocess.run(
        [PYTHON, script], input=json.dumps(ours()), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def told(value: Any) -> Any:
    """A request without what only says the API's default."""
    if isinstance(value, list):
        return [told(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: told(item) for key, item in value.items() if key not in DEFAULTS or item != DEFAULTS[key]}


@pytest.mark.parametrize("kind", ["processing", "training"])
def test_the_sdk_sends_the_same_request(kind: str) -> None:
    assert told(sdks()[kind]) == told(ours()[kind])
