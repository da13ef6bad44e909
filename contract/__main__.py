"""Write the files that are generated from the contract; with --check, exit 1 if they are out of date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from contract.page import module
from contract.schemas import schemas

ROOT = Path(__file__).resolve().parents[1]


def generated() -> dict[Path, str]:
    """Every generated file, below the repository's root, with its text."""
    files = {Path("web/src/contract.js"): module()}
    for name, schema in schemas().items():
        files[Path("events/schemas") / name] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return files


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: list[str]) -> int:
    files = generated()
    if "--check" in arguments:
        stale = [path for path, text in files.items() if not _holds(ROOT / path, text)]
        for path in stale:
            print(f"{path} is not what contract/ writes: run `make contract`", file=sys.stderr)
        return 1 if stale else 0
    for path, text in files.items():
        (ROOT / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
