"""Set-up on other machines: which Python it chooses, what it prints if there is none, mistyped make variables."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from spaceport.doctor import PYTHONS

ROOT = Path(__file__).parents[3]
TOOLS = ("bash", "dirname", "mkdir", "nice", "touch")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the script in its own folder, and a PATH that contains no Python."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    return tmp_path


def python(checkout: Path, name: str, version: str) -> None:
    """A stand-in for Python that reports its version, and makes environments whose pip records its arguments."""
    script = checkout / "bin" / name
    fits = tuple(map(int, version.split("."))) in {(3, minor) for minor in range(PYTHONS[0][1], PYTHONS[1][1] + 1)}
    script.write_text(
        "#!/bin/bash\n"
        f'if [ "$1" = -c ]; then exit {int(not fits)}; fi\n'
        f'mkdir -p "$3/bin"; echo "#!/bin/bash" > "$3/bin/pip"; echo {version} > "{checkout}/used"\n'
        f'echo "echo \\"\\$@\\" >> {checkout}/asked" >> "$3/bin/pip"; cp "$3/bin/pip" "$3/bin/python"\n'
        'chmod +x "$3/bin/pip" "$3/bin/python"\n'
    )
    script.chmod(0o755)


def setup(checkout: Path, *what: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{checkout / 'bin'}:{checkout / 'more'}"
    (checkout / "more").mkdir(exist_ok=True)
    for tool in ("cp", "chmod"):
        if not (checkout / "more" / tool).exists():
            (checkout / "more" / tool).symlink_to(shutil.which(tool) or tool)
    command = [str(checkout / "bin" / "bash"), "scripts/setup.sh", *(what or ("develop",))]
    return subprocess.run(command, cwd=checkout, env={"PATH": path, **variables}, capture_output=True, text=True)


def test_without_a_fitting_python_it_says_how_to_get_one(checkout: Path) -> None:
    python(checkout, "python3", "3.9")
    ended = setup(checkout)
    assert ended.returncode == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in ended.stderr
    assert "uv python install 3.13" in ended.stderr
    assert "devcontainer" in ended.stderr


@pytest.mark.parametrize(("name", "version"), [("python3.12", "3.12"), ("python3.13", "3.13"), ("python3", "3.13")])
def test_any_python_that_the_packages_are_built_for_will_do(checkout: Path, name: str, version: str) -> None:
    python(checkout, name, version)
    ended = setup(checkout)
    assert ended.returncode == 0, ended.stderr
    assert (checkout / "used").read_text().strip() == version
    assert (checkout / "asked").read_text().split()[-2:] == ["--requirement", "requirements.txt"]


def test_the_variable_python_names_one(checkout: Path) -> None:
    python(checkout, "python3", "3.11")
    python(checkout, "mine", "3.13")
    assert setup(checkout, PYTHON=str(checkout / "bin" / "mine")).returncode == 0
    assert (checkout / "used").read_text().strip() == "3.13"


def test_all_that_name_the_pythons_name_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (first, last) = PYTHONS
    assert project["requires-python"] == f">=3.{first[1]},<3.{last[1] + 1}"
    script = (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")
    assert f"(3, {first[1]}) <= sys.version_info[:2] <= (3, {last[1]})" in script
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    version = re.search(r"python:1-3\.(\d+)-", container["image"])
    assert version is not None
    assert first[1] <= int(version[1]) <= last[1]
    assert container["postCreateCommand"] == "make setup"


def test_running_installs_no_tools() -> None:
    """What only tests need is not installed on the way to the first scene."""
    lines = (ROOT / "requirements-run.in").read_text(encoding="utf-8").splitlines()
    lists = {line.removeprefix("-r ") for line in lines if line.startswith("-r ")}
    assert lists == {path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/requirements.in")} - {
        "statemachine/requirements.in",
        "tests/requirements.in",
        "docs/requirements.in",
    } | {path.relative_to(ROOT).as_posix() for path in ROOT.glob("containers/*/requirements.in")}
    assert not [line for line in lines if re.match(r"(pytest|mypy|ruff|moto|playwright)", line)]


def test_kernels_are_compiled_and_the_samples_photos_rendered_while_packages_are_installed(checkout: Path) -> None:
    """As soon as the packages that both need are there, before the long list is installed."""
    python(checkout, "python3", "3.11")
    for tool in ("npm", "du", "cut"):
        (checkout / "bin" / tool).write_text("#!/bin/bash\n")
        (checkout / "bin" / tool).chmod(0o755)
    for folder in ("containers/compressor/viewer", "web"):
        (checkout / folder).mkdir(parents=True)
    for words, rendered in ((("run",), False), (("run", "sample"), True)):
        (checkout / "asked").unlink(missing_ok=True)
        ended = setup(checkout, *words, PIP_INDEX_URL="here")
        assert ended.returncode == 0, ended.stderr
        asked = (checkout / "asked").read_text().splitlines()
        installed = [line.split()[-1] for line in asked if "install" in line]
        assert installed == ["containers/3dgs/requirements.in", "requirements-run.in"]
        first, last = (number for number, line in enumerate(asked) if "install" in line)
        assert first < asked.index("-m trainer.warm splats")
        assert "--requirement sample/requirements.in" in asked[first]
        assert ("-m local.sample_photos" in asked) == rendered
        # the kernels of both stages are compiled once: the shared ones first, then what either warm-up needs besides
        warmed = [line for line in asked if line.endswith((".warm", ".warm splats", ".warm stereo"))]
        assert warmed[0] == "-m trainer.warm splats"
        assert last < min(asked.index(line) for line in warmed[1:])
        assert sorted(warmed[1:]) == ["-m compressor.warm", "-m trainer.warm stereo"]


def test_only_the_demo_of_the_sample_renders_it(tmp_path: Path) -> None:
    for words, rendered in ((["demo"], True), (["demo", "ZIP=photos.zip"], False), (["up"], False)):
        ended = subprocess.run(
            ["make", "-n", "-W", "requirements-run.in", *words], cwd=ROOT, capture_output=True, text=True
        )
        (line,) = [line for line in ended.stdout.splitlines() if line.startswith("scripts/setup.sh run")]
        assert line.endswith("sample") == rendered


@pytest.mark.parametrize(
    ("words", "quality"), [([], "preview"), (["ZIP=photos.zip"], "standard"), (["QUALITY=high"], "high")]
)
def test_the_sample_is_a_first_look_and_photos_of_ones_own_are_delivered(words: list[str], quality: str) -> None:
    ended = subprocess.run(["make", "-n", "demo", *words], cwd=ROOT, capture_output=True, text=True)
    assert f"local.demo --quality {quality}" in ended.stdout


@pytest.mark.parametrize("target", ["bench-customer", "bench-products", "bench-offpath", "bench-real", "bench-score"])
def test_a_benchmark_has_a_quality_of_its_own_unless_one_is_named(target: str) -> None:
    for words, passed in (([], []), (["QUALITY=high"], ["high"])):
        ended = subprocess.run(["make", "-n", target, *words], cwd=ROOT, capture_output=True, text=True, check=True)
        assert re.findall(r"--quality(?: +(\S+))?", ended.stdout) == passed


@pytest.mark.parametrize("environment", ["sam", "audit", "docs"])
def test_what_needs_nothing_of_the_first_environment_is_installed_beside_it(environment: str) -> None:
    command = ["make", "-n", "-B", f".build/{environment}.stamp"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    steps = [line for line in ended.stdout.splitlines() if line.startswith("scripts/setup.sh")]
    assert steps == [f"scripts/setup.sh {environment}"]


def test_rendering_the_sample_needs_no_other_package_than_its_own() -> None:
    """It runs while the other packages are being installed."""
    script = "import sys; sys.path.insert(0, '.'); import local.sample_photos; print('boto3' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


@pytest.mark.parametrize("slip", ["zip=photos.zip", "photos=a", "quality=high", "OUT=elsewhere"])
def test_a_variable_that_nothing_reads_is_refused(slip: str) -> None:
    ended = subprocess.run(["make", "-n", "demo", slip], cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))
    assert ended.returncode == 2
    assert f"{slip.partition('=')[0]} is not read here: write ZIP=" in ended.stderr
