"""The viewer's own modules (containers/compressor/viewer/src), run in Node.js."""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_MODULES = _ROOT / "containers/compressor/viewer/src"
_NODE = shutil.which("node", path=f"{_ROOT / '.venv/bin'}:/usr/local/bin:/usr/bin:/bin")
# runs the code that it is sent, one line of JSON per call; `import()` works as in a module
_SERVER = """
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
const Run = Object.getPrototypeOf(async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
    const { path, folder, given, body } = JSON.parse(line);
    let printed = null;
    let failed = null;
    try {
        const run = new Run('module', 'folder', 'given', 'console', 'readFileSync', body);
        await run(await import(path), folder, given, { log: (text) => { printed = text; } }, readFileSync);
    } catch (error) {
        failed = error.stack;
    }
    process.stdout.write(`${JSON.stringify({ printed, failed })}\\n`);
}
"""

needs_node = pytest.mark.skipif(_NODE is None, reason="needs Node.js, with which the viewer is built")


def module_calls(module: str, name: str, calls: list[list[Any]]) -> list[Any]:
    """The results of the function `name` of `module` for the arguments of each call."""
    body = f"console.log(JSON.stringify(given.map((each) => module.{name}(...each))));"
    found: list[Any] = run_module(module, body, calls)
    return found


def run_module(module: str, body: str, given: Any) -> Any:
    """The JSON that `body` prints; it can use `module`, `given` and the modules' `folder` (a URL)."""
    node = _node()
    assert node.stdin is not None
    assert node.stdout is not None
    folder = _MODULES.as_uri()
    print(
        json.dumps({"path": f"{folder}/{module}.mjs", "folder": folder, "given": given, "body": body}),
        file=node.stdin,
        flush=True,
    )
    answer = json.loads(node.stdout.readline())
    assert answer["failed"] is None, answer["failed"]
    return json.loads(answer["printed"])


@cache
def _node() -> subprocess.Popen[str]:
    """One process for all calls: starting it costs more than most calls. It ends when its standard input is closed."""
    node = subprocess.Popen(
        [str(_NODE), "--input-type=module", "--eval", _SERVER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert node.stdin is not None
    atexit.register(node.wait)
    atexit.register(node.stdin.close)
    return node
