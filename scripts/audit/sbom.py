"""Write bills of materials (CycloneDX) for everything shipped: the functions' bundle, the images, and the viewer."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from contract.stages import Stage
from scripts.audit.tools import ROOT, ToolFailed, run

SHIPPED = {
    "functions": "functions/requirements.txt",
    **{stage.value: f"containers/{stage}/requirements.txt" for stage in Stage},
}
VIEWER = "containers/compressor/viewer"


def write_sboms(folder: Path) -> list[Path]:
    """Write `<name>.cdx.json` for each, only from the locked lists; returns the paths. Raises ToolFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [_python(name, ROOT / lock, folder) for name, lock in SHIPPED.items()]
    return [*written, _viewer(folder)]


def _python(name: str, lock: Path, folder: Path) -> Path:
    path = folder / f"{name}.cdx.json"
    run(
        *("cyclonedx-py", "requirements", "-", "--of", "JSON", "--output-reproducible", "-o", str(path)),
        given=lock.read_text(encoding="utf-8") + _by_version_alone(lock),
    )
    return path


def _by_version_alone(lock: Path) -> str:
    """The line for torch, if the locked list has none: its file differs between kinds of machines, so the image
    installs the version in requirements.in."""
    if re.search(r"^torch==", lock.read_text(encoding="utf-8"), re.MULTILINE):
        return ""
    return "".join(re.findall(r"^torch==.*\n", lock.with_suffix(".in").read_text(encoding="utf-8"), re.MULTILINE))


def _viewer(folder: Path) -> Path:
    npm = ROOT / ".venv" / "bin" / "npm"
    environment = {**os.environ, "PATH": f"{npm.parent}:{os.environ['PATH']}"}
    command = [str(npm), "sbom", "--sbom-format=cyclonedx", "--package-lock-only"]
    done = subprocess.run(command, cwd=ROOT / VIEWER, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise ToolFailed(f"npm sbom ended with {done.returncode}: {done.stderr[-1000:]}")
    path = folder / "viewer.cdx.json"
    path.write_text(json.dumps(json.loads(done.stdout), indent=1), encoding="utf-8")
    return path
