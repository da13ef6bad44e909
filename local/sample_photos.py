"""The sample's photos, rendered once for each version of their code: `python -m local.sample_photos`, during set-up.

It needs only the packages in sample/requirements.in, so that it can run before all others are installed.
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
    """Move the photos to their place, unless another demo has put the same photos there meanwhile."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


if __name__ == "__main__":
    make_sample(BUILD)
