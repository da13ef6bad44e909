"""The customer's page may load, call and be framed by what it needs and nothing else, on AWS and on this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local.guard import PAGE_POLICY
from local.template import load_template

ROOT = Path(__file__).parents[3]
RESOURCES = load_template(ROOT / "template.yaml")["Resources"]
HEADERS: dict[str, Any] = RESOURCES["WebHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


ON_AWS = directives(HEADERS["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Sub"][0])
HERE = directives(PAGE_POLICY)


def test_the_page_is_sent_with_the_headers() -> None:
    behaviour = RESOURCES["WebDistribution"]["Properties"]["DistributionConfig"]["DefaultCacheBehavior"]
    assert behaviour["ResponseHeadersPolicyId"] == {"Ref": "WebHeaders"}
    assert all(header["Override"] for header in HEADERS.values())
    assert HEADERS["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 31536000
    assert HEADERS["FrameOptions"]["FrameOption"] == "DENY"


@pytest.mark.parametrize("policy", [ON_AWS, HERE], ids=["aws", "local"])
def test_scripts_come_from_the_page_alone_and_nobody_frames_it(policy: dict[str, list[str]]) -> None:
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == ["'self'"]
    allowed = {value for values in policy.values() for value in values}
    assert not {"*", "'unsafe-inline'", "'unsafe-eval'", "data:", "http:"} & allowed


def test_both_policies_have_the_same_parts() -> None:
    assert set(ON_AWS) == set(HERE)
    named = HEADERS["ContentSecurityPolicy"]["ContentSecurityPolicy"]["Fn::Sub"][1]
    assert {"${Results}", "${Uploads}", "${Issuer}"} <= set(ON_AWS["connect-src"])
    for name, bucket in (("Results", "ResultsBucket"), ("Uploads", "UploadsBucket")):
        assert RESOURCES[bucket]["Properties"]["BucketName"]["Fn::Sub"] in named[name]["Fn::Sub"]


def test_the_headers_need_nothing_that_needs_the_page() -> None:
    """API and buckets name the page's domain among those that may call them; CloudFormation allows no circular
    dependency."""
    assert not re.search(
        r"\$\{(Api|ResultsBucket|UploadsBucket|WebDistribution)\b", json.dumps(RESOURCES["WebHeaders"])
    )


def test_the_page_needs_nothing_that_its_policy_forbids() -> None:
    page = (ROOT / "web" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=\"app\.js\")", page)
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "web" / "src").glob("*.js"))
    assert not re.search(r"\beval\(|new Function|setAttribute\('style'|innerHTML|document\.write|cssText", source)
