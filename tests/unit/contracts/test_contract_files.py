"""Files that appear complete or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.files import whole, write_json


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with whole(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        assert partial.parent == path.parent  # a rename within one file system is atomic
        partial.write_text("whole")
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "whole"


def test_what_was_there_stays_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    before = path.read_bytes()

    def write() -> None:
        with whole(path) as partial:
            partial.write_text("half")
            raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write()
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert path.read_bytes() == before
