"""Parts of the control plane on moto (pipeline_cloud.py): names, settings, uploads, results."""

from __future__ import annotations

import json
from typing import Any

from contract.stages import PipelineStep, Stage
from tests.support.archives import zip_of
from tests.support.asl import Definition
from tests.support.cloud import STACK
from tests.support.models import binary_model, scene_of
from tests.support.plys import ply_of
from tests.support.sam_template import Template

UPLOADS, RESULTS, BUS, QUEUE = "test-uploads", "test-results", "test-status", "test-status-events"
ROLE = "arn:aws:iam::123456789012:role/test-role"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:{}"
# each stage's output, as far as delivery and report read it (docs/contracts.md)
LEFT_BEHIND: dict[Stage, dict[str, Any]] = {
    Stage.SFM: {"counts": {"photos": 5, "registered": 5, "points": 900}, "metrics": {"gpsRms": 0.4}},
    Stage.TRAINING: {"counts": {"gaussians": 1000, "steps": 300}, "metrics": {"psnr": 24.0, "ssim": 0.8}},
    Stage.COMPRESSOR: {
        "counts": {"gaussians": 1000, "bytes": 20_000},
        "metrics": {"psnrBefore": 24.0, "psnrAfter": 23.9, "ratio": 12.0},
    },
}


def with_names_filled_in(pipeline: Definition) -> str:
    """Fills in DefinitionSubstitutions, as CloudFormation does."""
    functions = {"RunStage": "run_stage", "SettleStage": "settle_stage", "Deliver": "deliver"}
    values = {f"{name}FunctionArn": ARN.format(function) for name, function in functions.items()}
    definition = json.dumps(pipeline)
    for name, value in {**values, "StatusBusName": BUS}.items():
        definition = definition.replace(f"${{{name}}}", value)
    return definition


def settings_of(pipeline_arn: str) -> dict[str, str]:
    """The settings that the template gives the functions, for this cloud."""
    template = Template.load()
    machines = {
        f"{stage.state_key.upper()}_INSTANCE_TYPES": template.parameters[f"{stage.state_key.title()}InstanceTypes"][
            "Default"
        ]
        for stage in Stage
    }
    return {
        **{
            name: f"test-{name.lower()}"
            for name in template.global_variables
            if not name.startswith(("POWERTOOLS", "OWNER_"))
        },
        "OWNER_OPEN_JOBS": "20",
        "OWNER_DAILY_JOBS": "50",
        "OWNER_DAILY_DOLLARS": "100",
        "STACK_REGION": "us-east-1",
        "REGION_PRICES": "",
        **machines,
        "STACK": STACK,
        "STATUS_BUS": BUS,
        "JOBS_TABLE": "JobsTable",
        "STAGE_RUNS_TABLE": "StageRunsTable",
        "PACE_TABLE": "PaceTable",
        "LIMITS_TABLE": "LimitsTable",
        "DAILY_SPEND_DOLLARS": "100000",
        "RESULTS_BUCKET": RESULTS,
        "SAGEMAKER_ROLE_ARN": ROLE,
        "SPOT_TRAINING": "true",
        "STAGE_SUBNETS": "",
        "STAGE_SECURITY_GROUPS": "",
        "JOB_BUDGET_DOLLARS": "25",
        "COMPANY_NAME": "",
        "COMPANY_ADDRESS": "",
        "COMPANY_LOGO": "",
        "PIPELINE_ARN": pipeline_arn,
    }


def upload_of(step: PipelineStep) -> bytes:
    if step is PipelineStep.COMPRESSION:
        return ply_of()
    names = [f"{number:06d}.jpg" for number in range(1, 6)]
    scenes = (PipelineStep.TRAINING, PipelineStep.SCENE)
    return zip_of(scene_of(binary_model(names), names) if step in scenes else names)
