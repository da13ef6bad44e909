"""Packages the command line together with the project's folders that it runs: pyproject.toml has everything else.

The viewer, which the delivered page contains, is built on the way with the Node.js that pyproject.toml asks for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PARTS = ("contract", "containers", "functions", "local")
VIEWER = ROOT / "containers" / "compressor" / "viewer"
IGNORED = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info")


class BuildWithProject(build_py):
    """Copies the parts to `spaceport/_project`; an editable installation uses those of the checkout."""

    def run(self) -> None:
        build_viewer()
        super().run()
        if not self.editable_mode:
            for part in PARTS:
                target = Path(self.build_lib, "spaceport", "_project", part)
                shutil.copytree(ROOT / part, target, ignore=IGNORED, dirs_exist_ok=True)


def build_viewer() -> None:
    """Raises CalledProcessError."""
    if any((VIEWER / ".build").glob("*")):
        return
    scripts = sysconfig.get_path("scripts")
    environment = {**os.environ, "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")])}
    for command in (["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
        subprocess.run(command, cwd=VIEWER, env=environment, check=True)


setup(cmdclass={"build_py": BuildWithProject})
