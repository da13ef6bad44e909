"""A large flight in the control plane, as the functions find it: structure from motion has planned its blocks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from contract.blocks import BLOCKS_FILE, COARSE, BlockName, photos_file
from contract.stages import Stage
from domain.stages import StageRun
from tests.support.blocks import strip_of
from tests.support.cloud import RESULTS, Cloud, empty_result, invoke
from tests.support.runs import JOB_ID, ask_for

SCENE = f"s3://{RESULTS}/intermediates/{JOB_ID}/sfm/1"


def has_plan(cloud: Cloud, blocks: int, files: Sequence[str] = ()) -> None:
    """Structure from motion has left a plan; every block shows two photos, its own and that of the block after it."""
    cloud.put(f"{SCENE}/{BLOCKS_FILE}", json.dumps(strip_of(blocks).as_json()).encode())
    listed = [{"path": name, "bytes": 1, "sha256": "0"} for name in files]
    cloud.put(f"{SCENE}/result.json", json.dumps({**empty_result(f"{SCENE}/"), "files": listed}).encode())
    shown: dict[BlockName, range] = {block: range(block, block + 2) for block in range(1, blocks + 1)}
    for block, photos in {**shown, COARSE: range(1, blocks + 2)}.items():
        rows = [{"name": photo_of(n), "split": "train", "rect": [0, 0, 10, 10], "points": 30} for n in photos]
        cloud.put(f"{SCENE}/{photos_file(block)}", json.dumps(rows).encode())


def photo_of(number: int) -> str:
    return f"{number:06d}.jpg"


def training_of(block: BlockName, attempt: int = 1, job_id: str = JOB_ID) -> StageRun:
    return StageRun(job_id=job_id, stage=Stage.TRAINING, attempt=attempt, block=block)


def model_of(run: StageRun) -> str:
    """The output folder of the run."""
    return f"s3://{RESULTS}/intermediates/{run.job_id}/3dgs/{run.job_name}/output/model"


def output_of(run: StageRun, dollars: float = 1.0) -> dict[str, Any]:
    """The run's output as the state machine's data holds it."""
    return {
        "stage": "3dgs",
        "attempt": run.attempt,
        "outputUri": model_of(run),
        "counts": {},
        "metrics": {},
        "warnings": [],
        "seconds": 60.0,
        "cost": {"seconds": 60.0, "dollars": dollars},
    }


def ask_for_block(block: BlockName, token: str = "token-1", job_id: str = JOB_ID, **options: Any) -> dict[str, Any]:
    """The payload of the block's callback task."""
    event = ask_for(Stage.TRAINING, token)
    event["job"]["stages"]["sfm"]["outputUri"] = SCENE
    event["job"]["options"] |= options
    event["job"]["jobId"] = job_id
    if block != COARSE:
        event["job"]["coarse"] = output_of(training_of(COARSE))
    return {**event, "block": block}


def run_block(cloud: Cloud, block: BlockName, **asked: Any) -> str:
    name: str = invoke("run_stage", ask_for_block(block, **asked))["jobName"]
    return name


def leave_model(cloud: Cloud, run: StageRun, **result: Any) -> None:
    """Writes the output of the run's training: its splat and its result."""
    uri = model_of(run)
    listed = [{"path": "scene.ply", "bytes": 3, "sha256": "0"}]
    body = {**empty_result(uri), "files": listed, **result}
    cloud.put(f"{uri}/result.json", json.dumps(body).encode())
    cloud.put(f"{uri}/scene.ply", f"splat of {run.block}".encode())
