"""Checkpoints: read if complete, otherwise skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from trainer import checkpoint


def anything(_state: dict[str, Any]) -> bool:
    return True


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 20, 100):
        checkpoint.save(tmp_path / "c", step, {"step": step, "tensor": torch.arange(3)})
    state, damaged = checkpoint.load_latest(tmp_path / "c", anything)
    assert state is not None
    assert state["step"] == 100
    assert state["tensor"].tolist() == [0, 1, 2]
    assert damaged == []
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["step-000000020.ckpt", "step-000000100.ckpt"]


def test_a_damaged_one_gives_way_to_the_one_before(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1})
    newest = checkpoint.save(tmp_path, 2, {"step": 2})
    content = newest.read_bytes()
    for broken in (content[:-10], b"", content[:50] + bytes([content[50] ^ 1]) + content[51:]):
        newest.write_bytes(broken)
        state, damaged = checkpoint.load_latest(tmp_path, anything)
        assert state is not None
        assert state["step"] == 1
        assert damaged == [newest.name]


def test_what_is_written_outlasts_later_ones_that_no_run_can_go_on_from(tmp_path: Path) -> None:
    for step in (8000, 9000):
        (tmp_path / f"step-{step:09d}.ckpt").write_bytes(b"damaged")
    for step in (100, 200):
        assert checkpoint.save(tmp_path, step, {"step": step}).is_file()
    state, damaged = checkpoint.load_latest(tmp_path, anything)
    assert state is not None
    assert (state["step"], damaged) == (200, [])
    assert len(list(tmp_path.iterdir())) == 2


def test_one_of_another_run_gives_way_to_the_one_before(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"step": 1, "run": "mine"})
    checkpoint.save(tmp_path, 2, {"step": 2, "run": "another"})
    state, damaged = checkpoint.load_latest(tmp_path, lambda state: state["run"] == "mine")
    assert state is not None
    assert (state["step"], damaged) == (1, [])


def test_none_is_none(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path / "missing", anything) == (None, [])
    (tmp_path / "step-000000003.ckpt.partial").write_bytes(b"half")
    assert checkpoint.load_latest(tmp_path, anything) == (None, [])


def test_what_a_thread_writes_is_the_state_when_it_was_told(tmp_path: Path) -> None:
    writer, tensor = checkpoint.Writer(tmp_path), torch.arange(200_000)
    writer.save(7, {"step": 7, "deep": [{"tensor": tensor}]})
    tensor.zero_()
    writer.finish()
    state, damaged = checkpoint.load_latest(tmp_path, anything)
    assert damaged == []
    assert state is not None
    assert torch.equal(state["deep"][0]["tensor"], torch.arange(200_000))


def test_what_could_not_be_written_is_raised_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    writer = checkpoint.Writer(tmp_path / "file")
    writer.save(1, {"step": 1})
    with pytest.raises(OSError, match="file"):
        writer.finish()
