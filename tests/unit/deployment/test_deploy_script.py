"""deploy.sh and web.sh with programs that only record their arguments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from contract.stages import Stage

ROOT = Path(__file__).parents[3]
HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = "sha256:" + "a" * 64

# the registry is a folder of files named after its references
DOCKER = r"""
echo "docker $*" >>"$CALLS"
name() { echo "$1" | tr '/:' '__'; }
case "$1 $2" in
  "manifest inspect") cat "$PUSHED/$(name "$3")" ;;
  "image inspect") echo "python@$BASE_SAYS" ;;
  "run --rm") [ -z "${BROKEN:-}" ] && echo "spaceport ${3%:*} 1" | sed 's#spaceport .*/#spaceport #' ;;
  push*) printf '{\n "schemaVersion": 2,\n "mediaType": "%s",\n "config": {}\n}' "$FORMAT" >"$PUSHED/$(name "$2")" ;;
  login*) cat >/dev/null ;;
esac
"""
AWS = r"""
echo "aws $*" >>"$CALLS"
case "$*" in
  "configure get region") echo eu-west-1 ;;
  "sts get-caller-identity"*) echo 123456789012 ;;
  "ecr get-login-password"*) echo password ;;
  *SignInUrl*) echo https://sign-in.example.com ;;
  *WebBucket*) echo spaceport-dev-web ;;
  *TokenAudience*) echo client ;;
  *ApiUrl*) echo https://api.example.com ;;
  *WebUrl*) echo https://page.example.com/ ;;
esac
"""


@dataclass(frozen=True)
class Desk:
    """A clone of the scripts in its own repository, with `programs` first in PATH."""

    folder: Path

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/usr/bin/env bash\n{text}", encoding="utf-8")
        path.chmod(0o755)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.clone, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs the script; `calls` then returns the recorded calls."""
        (self.folder / "calls").write_text("", encoding="utf-8")
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "CALLS": str(self.folder / "calls"),
            "PUSHED": str(self.folder / "pushed"),
            "BASE_SAYS": DIGEST,
            "FORMAT": "application/vnd.docker.distribution.manifest.v2+json",
            **variables,
        }
        command = [str(self.clone / "scripts" / "deployment" / script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def calls(self, beginning: str) -> list[str]:
        lines = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith(beginning)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "pushed").mkdir()
    shutil.copytree(ROOT / "scripts" / "deployment", desk.clone / "scripts" / "deployment")
    for name in Stage:
        (desk.clone / "containers" / name).mkdir(parents=True)
        (desk.clone / "containers" / name / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    (desk.clone / "web" / ".build").mkdir(parents=True)
    desk.git("init", "--quiet")
    desk.git("add", "containers", "scripts")
    desk.git("commit", "--quiet", "--message", "first")
    desk.program("docker", DOCKER)
    desk.program("aws", AWS)
    desk.program("npm", 'echo "npm $*" >>"$CALLS"')
    desk.program("trivy", 'echo "trivy $*" >>"$CALLS"; [ -z "${HOLES:-}" ]')
    return desk


@pytest.mark.parametrize("arguments", [(), ("3dsg",), ("--help",)])
def test_anything_but_an_image_gets_the_usage_and_does_nothing(desk: Desk, arguments: tuple[str, ...]) -> None:
    done = desk.run("deploy.sh", *arguments)
    assert done.returncode == 2
    assert "deploy.sh STAGE_NAME|all" in done.stderr
    assert desk.calls("") == []


def test_an_image_is_built_checked_and_pushed_under_its_commit(desk: Desk) -> None:
    done = desk.run("deploy.sh", "sfm", STAGE="prod")
    tag = desk.git("log", "-1", "--format=%h", "--abbrev=12", "--", "containers")
    reference = f"{HOST}/spaceport-prod/sfm:{tag}"
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == tag
    (build,) = desk.calls("docker buildx build")
    assert f"--tag {reference} " in build
    assert "--platform linux/amd64" in build
    assert f"BASE_DIGEST={DIGEST}" in build
    assert len(desk.calls("docker run --rm")) == 1
    (scan,) = desk.calls("trivy")
    assert scan.endswith(f"--exit-code 1 {reference}")
    assert desk.calls("docker push") == [f"docker push {reference}"]
    assert "latest" not in "\n".join(desk.calls(""))


INDEX = "application/vnd.oci.image.index.v1+json"


def test_an_image_is_built_as_one_manifest_without_attestations(desk: Desk) -> None:
    desk.run("deploy.sh", "sfm")
    (build,) = desk.calls("docker buildx build")
    assert {"--provenance=false", "--sbom=false"} <= set(build.split())
    assert "--output type=docker " in build


@pytest.mark.parametrize("form", [INDEX, "application/vnd.oci.image.manifest.v1+json", ""])
def test_an_image_that_the_registry_holds_in_another_form_is_refused(desk: Desk, form: str) -> None:
    """Whether freshly pushed or pushed earlier."""
    pushed, again = desk.run("deploy.sh", "sfm", FORMAT=form), desk.run("deploy.sh", "sfm")
    assert (pushed.returncode, again.returncode) == (1, 1)
    assert f"was pushed as {form or 'something else'}" in pushed.stderr
    assert pushed.stdout == ""


def test_all_are_three(desk: Desk) -> None:
    assert desk.run("deploy.sh", "all").returncode == 0
    pushed = [call.rpartition("/")[2].partition(":")[0] for call in desk.calls("docker push")]
    assert sorted(pushed) == sorted(Stage)


def test_what_is_pushed_already_is_neither_built_nor_pushed_again(desk: Desk) -> None:
    first = desk.run("deploy.sh", "all")
    second = desk.run("deploy.sh", "all")
    assert second.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert desk.calls("docker buildx build") + desk.calls("docker push") == []


def test_a_commit_elsewhere_builds_nothing_anew(desk: Desk) -> None:
    desk.run("deploy.sh", "sfm")
    (desk.clone / "README.md").write_text("words", encoding="utf-8")
    desk.git("add", "README.md")
    desk.git("commit", "--quiet", "--message", "words")
    desk.run("deploy.sh", "sfm")
    assert desk.calls("docker buildx build") == []


def test_a_new_commit_of_the_containers_is_a_new_image(desk: Desk) -> None:
    before = desk.run("deploy.sh", "sfm").stdout.splitlines()[-1]
    (desk.clone / "containers" / "sfm" / "Dockerfile").write_text("FROM other\n", encoding="utf-8")
    desk.git("commit", "--quiet", "--all", "--message", "second")
    after = desk.run("deploy.sh", "sfm").stdout.splitlines()[-1]
    assert after != before
    assert len(desk.calls("docker push")) == 1


def test_changes_that_no_commit_names_are_refused(desk: Desk) -> None:
    (desk.clone / "containers" / "sfm" / "Dockerfile").write_text("FROM other\n", encoding="utf-8")
    done = desk.run("deploy.sh", "sfm")
    assert done.returncode == 1
    assert "commit them first" in done.stderr
    assert desk.calls("docker") == []


@pytest.mark.parametrize("fault", ["HOLES", "BROKEN"])
def test_an_image_with_a_critical_hole_or_that_does_not_start_is_not_pushed(desk: Desk, fault: str) -> None:
    done = desk.run("deploy.sh", "all", **{fault: "1"})
    assert done.returncode == 1
    assert len(desk.calls("docker buildx build")) == 1  # the first one ends it
    assert desk.calls("docker push") == []


def test_the_page_is_built_for_its_api_and_published(desk: Desk) -> None:
    price = 'From "5 €" on: see $terms'
    done = desk.run("web.sh", "spaceport-dev", PRICE=price, SAMPLE_URL="https://example.com/shared/a")
    assert done.returncode == 0, done.stderr
    assert [call.split()[1] for call in desk.calls("npm")] == ["ci", "run"]
    assert json.loads((desk.clone / "web" / ".build" / "config.json").read_text(encoding="utf-8")) == {
        "apiUrl": "https://api.example.com",
        "clientId": "client",
        "signInUrl": "https://sign-in.example.com/oauth2/authorize",
        "scope": "openid email",
        "tokenUrl": "https://sign-in.example.com/oauth2/token",
        "revokeUrl": "https://sign-in.example.com/oauth2/revoke",
        "signOutUrl": "https://sign-in.example.com/logout",
        "price": price,
        "sampleUrl": "https://example.com/shared/a",
        "termsUrl": "",
    }
    (sync,) = desk.calls("aws s3 sync")
    assert "s3://spaceport-dev-web --delete" in sync
    assert "https://page.example.com/" in done.stdout


def test_a_page_without_a_stack_is_refused(desk: Desk) -> None:
    done = desk.run("web.sh")
    assert done.returncode != 0
    assert "usage: scripts/deployment/web.sh STACK" in done.stderr
    assert desk.calls("") == []
