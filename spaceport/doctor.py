"""`spaceport doctor`: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from contract.stages import Stage
from local.ports import DEFAULT_PORT, free_ports
from local.sagemaker.engine import ENGINE

PYTHONS = ((3, 11), (3, 13))  # the first and the last for which every pinned package has been built
FREE_BYTES, MEMORY_BYTES = 5 * 10**9, 4 * 10**9
# a package of each list in containers/*/requirements.in, and of the control plane's
PACKAGES = ("numpy", "numba", "pycolmap", "cv2", "torch", "faiss", "PIL", "pydantic", "rich")
GET_PYTHON = "install one with `uv python install 3.13`, or open the project in its devcontainer"


@dataclass(frozen=True)
class Check:
    """`ok`: None where the machine can do without."""

    name: str
    ok: bool | None
    found: str
    advice: str = ""


def checks(root: Path) -> list[Check]:
    return [
        python(sys.version_info[:2]),
        packages(PACKAGES, lambda name: importlib.util.find_spec(name) is not None),
        viewer(root),
        disk(shutil.disk_usage(Path.cwd()).free),
        memory(_read(Path("/proc/meminfo"))),
        vectors(_read(Path("/proc/cpuinfo"))),
        gpu(),
        port(DEFAULT_PORT),
        engine(),
    ]


def report(found: Sequence[Check], out: TextIO) -> int:
    """Print a line a check; 1 where something is missing that a run needs."""
    marks = {True: "ok", False: "MISSING", None: "-"}
    for check in found:
        print(f"{marks[check.ok]:<8} {check.name:<10} {check.found}", file=out)
        if check.advice and check.ok is not True:
            print(f"{'':<20}{check.advice}", file=out)
    return int(any(check.ok is False for check in found))


def python(version: tuple[int, ...]) -> Check:
    first, last = (".".join(map(str, bound)) for bound in PYTHONS)
    fits = PYTHONS[0] <= version[:2] <= PYTHONS[1]
    return Check("Python", fits, platform.python_version(), f"{first} to {last} is needed: {GET_PYTHON}")


def packages(names: Sequence[str], there: Callable[[str], bool]) -> Check:
    missing = [name for name in names if not there(name)]
    found = f"missing: {', '.join(missing)}" if missing else f"the {len(Stage)} stages' packages are installed"
    return Check("packages", not missing, found, "in the checkout: make setup, or pip install .")


def viewer(root: Path) -> Check:
    built = any((root / "containers" / Stage.COMPRESSOR / "viewer" / ".build").glob("*"))
    advice = "in the checkout: make setup"
    return Check("viewer", built, "built" if built else "not built", advice)


def disk(free: int) -> Check:
    return Check(
        "disk", free >= FREE_BYTES, f"{free / 1e9:.0f} GB free here", f"a flight needs {FREE_BYTES / 1e9:.0f} GB"
    )


def memory(meminfo: str) -> Check:
    """From /proc/meminfo; unknown elsewhere."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            size = int(line.split()[1]) * 1024
            return Check(
                "memory", size >= MEMORY_BYTES, f"{size / 1e9:.0f} GB", f"{MEMORY_BYTES / 1e9:.0f} GB are needed"
            )
    return Check("memory", None, "unknown")


def vectors(cpuinfo: str) -> Check:
    """From /proc/cpuinfo; unknown elsewhere."""
    flags = {flag for line in cpuinfo.splitlines() if line.startswith("flags") for flag in line.split()}
    if not flags:
        return Check("CPU", None, f"{platform.machine()}, instruction sets unknown")
    if "avx512f" in flags:
        return Check("CPU", True, "AVX-512")
    found = "AVX2, no AVX-512" if "avx2" in flags else "neither AVX2 nor AVX-512"
    return Check("CPU", None, found, "training and compression take longer than README's figures")


def gpu() -> Check:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return Check("GPU", None, "none: training runs on the CPU")
    return Check("GPU", True, listed.stdout.splitlines()[0].split(" (UUID")[0] if listed.stdout else "none")


def port(number: int) -> Check:
    if free_ports(1, preferred=number) != [number]:
        return Check("port", None, f"{number} is taken", "the local cloud takes another one and prints it")
    return Check("port", True, f"{number} is free")


def engine() -> Check:
    found = shutil.which(ENGINE)
    return Check("engine", True if found else None, found or f"no {ENGINE}: only `make demo IMAGES=1` needs one")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
