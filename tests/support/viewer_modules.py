"""The viewer's own modules (containers/compressor/viewer/src), run in Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_MODULES = _ROOT / "containers/compressor/viewer/src"
_NODE = shutil.which("node", path=f"{_ROOT / '.venv/bin'}:/usr/local/bin:/usr/bin:/bin")
_RUN = """
import {{ readFileSync }} from 'node:fs';
import * as module from '{module}';
const folder = '{folder}';
const given = JSON.parse(readFileSync(0));
{body}
"""

needs_node = pytest.mark.skipif(_NODE is None, reason="needs Node.js, with which the viewer is built")


def module_calls(module: str, name: str, calls: list[list[Any]]) -> list[Any]:
    """What the function `name` of `module` returns for the arguments of each call."""
    body = f"console.log(JSON.stringify(given.map((each) => module.{name}(...each))));"
    found: list[Any] = run_module(module, body, calls)
    return found


def run_module(module: str, body: str, given: Any) -> Any:
    """What `body` prints as JSON, with `module`, `given` and the modules' `folder` (a URL) to work with."""
    text = _RUN.format(folder=_MODULES.as_uri(), module=f"{_MODULES.as_uri()}/{module}.mjs", body=body)
    done = subprocess.run(
        [str(_NODE), "--input-type=module", "--eval", text],
        input=json.dumps(given), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
