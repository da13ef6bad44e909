"""From the template in the repository to one that CloudFormation can read."""

import io
import zipfile
from pathlib import Path

import pytest
import yaml

from local.bundle import BundleError, build_bundle
from local.deploy import Packager
from local.template import load_template

TEMPLATE = """
AWSTemplateFormatVersion: 2010-09-09
Globals: {Function: {CodeUri: functions/, Runtime: python3.11}}
Resources:
  A: {Type: AWS::Serverless::Function, Properties: {Handler: a.handler}}
  B: {Type: AWS::Serverless::Function, Properties: {Handler: b.handler, CodeUri: other/}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties: {DefinitionUri: machine.asl.json, DefinitionSubstitutions: {Arn: !GetAtt A.Arn}}
  Bucket:
    Type: AWS::S3::Bucket
    Condition: Wanted
    Properties: {BucketName: !Sub "x-${AWS::AccountId}", Tags: !If [Wanted, !Ref Some, !Ref "AWS::NoValue"]}
"""


def members(bundle: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "functions/a/__pycache__").mkdir(parents=True)
    (tmp_path / "functions/a/__pycache__/x.pyc").write_text("compiled")
    (tmp_path / "functions/a/handler.py").write_text("def handler(event, context): ...")
    (tmp_path / "functions/Makefile").write_text("build-A:")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/b.py").write_text("b")
    (tmp_path / "machine.asl.json").write_text('{"StartAt": "X"}')
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return tmp_path


def test_short_tags_become_intrinsic_functions(project: Path) -> None:
    resources = load_template(project / "template.yaml")["Resources"]
    assert resources["Machine"]["Properties"]["DefinitionSubstitutions"] == {"Arn": {"Fn::GetAtt": ["A", "Arn"]}}
    assert resources["Bucket"]["Properties"] == {
        "BucketName": {"Fn::Sub": "x-${AWS::AccountId}"},
        "Tags": {"Fn::If": ["Wanted", {"Ref": "Some"}, {"Ref": "AWS::NoValue"}]},
    }


def test_a_date_stays_the_text_it_is(project: Path) -> None:
    assert load_template(project / "template.yaml")["AWSTemplateFormatVersion"] == "2010-09-09"


@pytest.mark.parametrize("text", ["- a\n", "Resource: {}\n", ""])
def test_what_is_no_template_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(ValueError, match="not a CloudFormation template"):
        load_template(tmp_path / "t.yaml")


def test_unknown_python_tags_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("Resources: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(yaml.YAMLError):
        load_template(tmp_path / "t.yaml")


def test_packaging_uploads_each_path_once_and_leaves_the_template_alone(project: Path) -> None:
    stored: dict[str, bytes] = {}

    def put(key: str, content: bytes) -> str:
        stored[key] = content
        return f"s3://artifacts/{key}"

    template = load_template(project / "template.yaml")
    template["Resources"]["C"] = template["Resources"]["A"]
    before = repr(template)
    packager = Packager(put, lambda code: code.name.encode())
    resources = packager.package(template, project)["Resources"]
    assert repr(template) == before
    assert sorted(stored.values()) == [b"functions", b"other", b'{"StartAt": "X"}']
    assert resources["A"]["Properties"]["CodeUri"] == resources["C"]["Properties"]["CodeUri"]
    for name, property_ in (("A", "CodeUri"), ("B", "CodeUri"), ("Machine", "DefinitionUri")):
        assert resources[name]["Properties"][property_].removeprefix("s3://artifacts/") in stored


def test_a_bundle_holds_the_sources_and_nothing_else(project: Path) -> None:
    bundle = build_bundle(project / "functions", project / "cache")
    assert list(members(bundle)) == ["a/handler.py"]
    assert bundle == build_bundle(project / "functions", project / "cache")


def test_a_bundle_holds_its_requirements_without_theirs(project: Path) -> None:
    wheel = _wheel(project, "tiny", "TINY = 1", requires="a-package-that-is-not-there")
    (project / "functions/requirements.txt").write_text(f"{wheel}\n")
    inside = members(build_bundle(project / "functions", project / "cache"))
    assert inside["tiny.py"] == "TINY = 1"
    assert inside["a/handler.py"].startswith("def handler")
    assert "requirements.txt" not in inside
    wheel.unlink()  # the second time nothing is installed
    assert members(build_bundle(project / "functions", project / "cache")) == inside


def test_requirements_that_do_not_install_say_so_and_leave_nothing(project: Path) -> None:
    (project / "functions/requirements.txt").write_text("./no-such.whl\n")
    with pytest.raises(BundleError, match="no-such"):
        build_bundle(project / "functions", project / "cache")
    assert list((project / "cache").iterdir()) == []


def _wheel(folder: Path, name: str, source: str, requires: str) -> Path:
    path = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", source)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\nRequires-Dist: {requires}\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path
