"""How `make audit` treats findings and exceptions, and the policies that it passes to parliament."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.template import load_template
from scripts.audit.findings import Accepted, Finding, compare, load_accepted
from scripts.audit.policies import policies_of

ROOT = Path(__file__).parents[3]
OPEN_BUCKET = Finding("checkov", "CKV_AWS_18", "WebBucket", "access logging")


def accepted(resource: str, rule: str = "CKV_AWS_18", tool: str = "checkov") -> Accepted:
    return Accepted(tool, rule, resource, "because")


def test_a_finding_that_nobody_accepted_is_open() -> None:
    for other in (
        accepted("OtherBucket"),
        accepted("WebBucket", "CKV_AWS_21"),
        accepted("WebBucket", tool="parliament"),
    ):
        assert compare([OPEN_BUCKET], [other], {"checkov"}).open == (OPEN_BUCKET,)


@pytest.mark.parametrize("resource", ["WebBucket", "Web*", "*"])
def test_an_accepted_finding_is_closed(resource: str) -> None:
    audit = compare([OPEN_BUCKET], [accepted(resource)], {"checkov"})
    assert (audit.open, audit.stale) == ((), ())


def test_an_exception_that_excepts_nothing_is_stale() -> None:
    unneeded = accepted("GoneBucket")
    assert compare([OPEN_BUCKET], [accepted("WebBucket"), unneeded], {"checkov"}).stale == (unneeded,)


def test_an_exception_from_a_tool_that_did_not_run_is_not_stale() -> None:
    assert compare([], [accepted("a-package", "CVE-2026-1", "pip-audit")], {"checkov"}).stale == ()


def test_every_exception_of_the_project_has_a_reason() -> None:
    assert all(len(one.reason) > 20 for one in load_accepted(ROOT / "tests/audit/exceptions.yaml"))


@pytest.mark.parametrize(
    "entry",
    [
        "- {tool: checkov, rule: CKV_AWS_18, resources: [WebBucket]}",
        "- {tool: checkov, rule: CKV_AWS_18, resources: [WebBucket], reason: ' '}",
        "- {tool: checkov, rule: CKV_AWS_18, resources: [], reason: because}",
    ],
)
def test_an_exception_without_a_reason_or_a_resource_is_refused(tmp_path: Path, entry: str) -> None:
    (tmp_path / "exceptions.yaml").write_text(entry, encoding="utf-8")
    with pytest.raises(ValueError, match="reason"):
        load_accepted(tmp_path / "exceptions.yaml")


def test_a_policy_is_written_out_as_iam_gets_it() -> None:
    statement = {
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": [{"Fn::Sub": "${Photos.Arn}/*"}, {"Fn::GetAtt": ["Photos", "Arn"]}],
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    }
    optional = {"Fn::If": ["Audited", {"Effect": "Allow"}, {"Ref": "AWS::NoValue"}]}
    resources = {
        "Photos": {"Type": "AWS::S3::Bucket"},
        "Look": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"Policies": ["Managed", {"Statement": [statement, optional, {"Ref": "AWS::NoValue"}]}]},
        },
    }
    assert policies_of({"Resources": resources}) == {
        "Look.0": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["s3:GetObject"],
                    "Resource": ["arn:aws:s3:::photos/*", "arn:aws:s3:::photos"],
                    "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
                },
                {"Effect": "Allow"},
            ],
        }
    }


def test_every_role_and_resource_policy_of_the_template_is_among_them() -> None:
    template = load_template(ROOT / "template.yaml")
    owners = {name.partition(".")[0] for name in policies_of(template)}
    kinds = ("Function", "StateMachine", "Role", "Policy", "Key")
    with_policies = {
        name for name, resource in template["Resources"].items() if resource["Type"].rpartition("::")[2].endswith(kinds)
    } - {"WebHeaders"}  # a policy of response headers grants no permissions
    assert with_policies <= owners
