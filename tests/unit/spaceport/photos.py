"""Folders of files that preflight accepts as photos."""

from pathlib import Path


def photos_in(folder: Path, count: int = 6) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"DJI_{number}.JPG").write_bytes(b"photo")
    return folder
