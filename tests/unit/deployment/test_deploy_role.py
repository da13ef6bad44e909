"""scripts/deployment/deploy-role.yaml: who may assume the role, and that it may do what deploy.sh does and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from local.template import load_template

PATH = Path(__file__).parents[3] / "scripts" / "deployment" / "deploy-role.yaml"
ROLE: dict[str, Any] = load_template(PATH)["Resources"]["DeployRole"]["Properties"]
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html, and reading existing images
PUSH = {
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
}


def test_only_this_repositorys_runs_in_the_stages_environment_take_it_on() -> None:
    (trust,) = ROLE["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {"Fn::Sub": "repo:${Repository}:environment:${Stage}"},
        }
    }


def test_it_pushes_images_of_its_stage_and_nothing_else() -> None:
    (policy,) = ROLE["Policies"]
    login, push = policy["PolicyDocument"]["Statement"]
    assert (login["Action"], login["Resource"]) == (["ecr:GetAuthorizationToken"], "*")
    assert set(push["Action"]) == PUSH
    assert push["Resource"]["Fn::Sub"].endswith(":repository/spaceport-${Stage}/*")
