"""Names in customers' files never lead out of their folder, and documents are limited in size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.archive import inner_name
from splat import files
from splat.files import below, read_document

LEADS_OUT = [
    "../a.jpg", "a/../../b.jpg", "..", "/etc/passwd", "//server/share/a.jpg", "C:/a.jpg", "c:", "..\\a.jpg",
    "\\\\server\\share\\a.jpg", "a\\..\\..\\b.jpg", "C:\\a.jpg", "", ".", "./", "a\0.jpg", "a\nb.jpg", "a\x1b]0;x.jpg",
    "n" * 256, "a/" * 1200 + "b.jpg", "a/" * 100 + "b.jpg",
]  # fmt: skip


@pytest.mark.parametrize("name", LEADS_OUT)
def test_names_that_lead_out_of_their_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"leads out|control characters|too long"):
        inner_name(name)


@pytest.mark.parametrize(
    ("name", "path"),
    [("a.jpg", "a.jpg"), ("flight 1/a ü.jpg", "flight 1/a ü.jpg"), ("cam\\b.jpg", "cam/b.jpg"), ("./a.jpg", "a.jpg"),
     ("2024:05:01/a..b.jpg", "2024:05:01/a..b.jpg")],
)  # fmt: skip
def test_names_of_honest_models_are_taken(name: str, path: str) -> None:
    assert str(inner_name(name)) == path


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.sampled_from("ab./\\:\0 ~\n"), max_size=12))
def test_whatever_the_name_the_file_lies_below_the_folder(tmp_path: Path, name: str) -> None:
    try:
        path = below(tmp_path, name)
    except ValueError:
        return
    assert path.resolve() != tmp_path.resolve()
    assert path.resolve().is_relative_to(tmp_path.resolve())


def test_a_link_does_not_lead_out_either(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"")
    (tmp_path / "images" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(ValueError, match="leads out"):
        below(tmp_path / "images", "a.jpg")


def test_a_document_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"ü": [1]}), encoding="utf-8")
    assert read_document(tmp_path / "a.json") == {"ü": [1]}


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"", b"{", b"1" * 5000])
def test_what_is_no_document_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_document(tmp_path / "a.json")


def test_a_document_beyond_the_limit_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_DOCUMENT_BYTES", 10)
    (tmp_path / "a.json").write_bytes(b"1234567890 ")
    with pytest.raises(ValueError, match="more than 10 bytes"):
        read_document(tmp_path / "a.json")
