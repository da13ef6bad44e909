"""The sample's photos, made once for each version of their code: `python -m local.sample_photos` while set-up goes on.

It needs what sample/requirements.in names and nothing else, so that it can run before all packages are there.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / ".build"


def make_sample(build: Path) -> Path:
    """The sample's ZIP, made once for each version of its code. Raises CalledProcessError."""
    digest = hashlib.sha256()
    for source in sorted((ROOT / "sample").glob("*.py")):
        digest.update(source.read_bytes())
    folder = build / f"sample-{digest.hexdigest()[:12]}"
    if not folder.exists():
        print("making the sample's photos", flush=True)
        build.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="sample-", dir=build) as partial:
            subprocess.run([sys.executable, "-m", "sample", f"{partial}/made"], cwd=ROOT, check=True)
            place(Path(partial, "made"), folder)
    return folder / "sample.zip"


def place(made: Path, folder: Path) -> None:
    """Put what was made in its place, or leave there what another demo has made meanwhile: both are the same."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


if __name__ == "__main__":
    make_sample(BUILD)
