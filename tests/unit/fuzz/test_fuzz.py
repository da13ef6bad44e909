"""Six hundred seeded hostile inputs to all doors; `make fuzz` sends more (tests/fuzz)."""

from __future__ import annotations

import random
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.campaign import DOORS, play
from tests.fuzz.door import Door
from tests.fuzz.mutate import damaged
from tests.fuzz.watch import watched

INPUTS = 616  # 56 per door


@pytest.mark.parametrize("index", range(len(DOORS)), ids=[door.name for door in DOORS])
def test_whatever_comes_in_is_taken_or_refused_by_a_code_and_touches_nothing_else(index: int) -> None:
    report = play(range(index, INPUTS, len(DOORS)))
    assert report.faults == []
    assert report.inputs == INPUTS // len(DOORS)
    assert report.outcomes[f"{DOORS[index].name} refused"] > 10  # they are hostile


def test_a_seed_makes_the_same_input_again(tmp_path: Path) -> None:
    for door in DOORS:
        made = []
        for run in "ab":
            folder = tmp_path / door.name / run
            folder.mkdir(parents=True)
            door.make(random.Random(3), folder)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            made.append([(path.relative_to(folder), path.read_bytes()) for path in files])
        assert made[0] == made[1] != []
    assert damaged(random.Random(1), b"content") == damaged(random.Random(1), b"content")


def climb(folder: Path) -> None:
    (folder / ".." / "written").write_bytes(b"x")


def call(_folder: Path) -> None:
    with socket.socket() as stranger:
        stranger.connect_ex(("127.0.0.1", 9))


def start(_folder: Path) -> None:
    subprocess.run(["true"], check=True)


def move(folder: Path) -> None:
    (folder / "a").write_bytes(b"")
    (folder / "a").rename(folder.parent / "b")


@pytest.mark.parametrize("act", [climb, call, start, move])
def test_what_happens_outside_is_noticed(tmp_path: Path, act: Callable[[Path], None]) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    with watched(folder) as seen:
        (folder / "mine").write_bytes(b"")
        assert seen == []
        act(folder)
    assert seen != []


def test_an_exception_and_a_stray_file_are_faults() -> None:
    def spill(folder: Path) -> str:
        climb(folder)
        raise KeyError("no code")

    report = play([1], [Door("bad", lambda _rng, _folder: None, spill)])
    assert any("KeyError" in fault for fault in report.faults)
    assert any("written" in fault for fault in report.faults)
