"""The command as typed: exit codes, the one line of JSON, text for people, 80 columns."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest

from local import down, up
from local.cloud import ROOT
from spaceport import cli, doctor
from spaceport.cli import FAILED, OK, STOPPED, WRONG_USE, main, parser
from tests.support.plys import ply_of
from tests.unit.spaceport.photos import photos_in
from tests.unit.spaceport.played import played


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cli, "project_images", lambda _root: played())
    return photos_in(tmp_path / "meadow")


def test_a_success_prints_one_line_of_json_and_where_things_are(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logo.png").write_bytes(b"png")
    company = ["--company", "Survey Ltd", "--logo", str(tmp_path / "logo.png")]
    texts = ["--project", "Bridge 7", "--customer", "City of Ulm", "--site", "Mill Lane 4"]
    assert (
        main([str(photos), "--quality", "preview", "--training-steps", "5", *texts, *company, "--open"], tmp_path) == OK
    )
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    assert json.loads(line)["folder"] == "out/meadow"
    assert "viewer   out/meadow/viewer/index.html" in said.err
    assert "6 photos" in said.err
    assert opened == [(tmp_path / "out/meadow/viewer/index.html").as_uri()]
    report = json.loads((tmp_path / "out/meadow/report.json").read_text())
    assert (report["options"]["quality"], report["options"]["trainingSteps"]) == ("preview", 5)
    assert [report["options"][name] for name in ("project", "customer", "site")] == texts[1::2]


@pytest.mark.parametrize("typed", [".", "..", "../site/.."])
def test_a_result_for_the_folder_one_is_in_goes_beside_it_if_it_holds_files(
    typed: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = tmp_path / "surveys" / "site"
    inside.mkdir(parents=True)
    (inside / "notes.txt").touch()
    monkeypatch.chdir(inside)
    meant = (inside / typed).resolve()
    assert main([str(photos), "-o", typed], tmp_path) == OK
    folder = meant.with_name(f"{meant.name}-2")
    assert json.loads(capsys.readouterr().out)["folder"] == str(folder)
    assert (folder / "scene.sog").is_file()
    monkeypatch.setattr(cli, "project_images", lambda _root: played(compressor="fail('INVALID_SPLAT', 'no rows')"))
    assert main([str(photos), "-o", typed], tmp_path) == FAILED
    assert json.loads(capsys.readouterr().out)["folder"] == str(meant.with_name(f"{meant.name}-3.failed"))


@pytest.mark.parametrize("only", [[], ["--only", "sfm"]])
def test_an_empty_folder_one_is_in_is_filled_and_not_replaced(
    only: list[str], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "site"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert main([str(photos), "-o", ".", *only], tmp_path) == OK
    assert Path("sfm/photos.json" if not only else "photos.json").is_file()  # seen from the working directory
    assert not list(tmp_path.glob(".site-*"))


def test_a_folder_of_any_name_is_made_into_a_scene_and_sends_the_terminal_no_commands(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = photos.rename(os.fsdecode(b"S\xfcd\n\x1b[2J"))
    assert main([str(odd)], tmp_path) == OK
    said = capsys.readouterr()
    assert "\x1b" not in said.err
    folder = Path(json.loads(said.out)["folder"])
    assert json.loads((folder / "report.json").read_text())["name"] == "S\u00fcd [2J"


def test_a_failure_says_the_code_what_happened_and_what_to_do(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "project_images", lambda _root: played(sfm="fail('NO_OVERLAP', 'a\\x1b[2J')"))
    assert main([str(photos), "-o", str(tmp_path / "out")], tmp_path) == FAILED
    said = capsys.readouterr()
    assert json.loads(said.out)["error"] == "NO_OVERLAP"
    assert "\nNO_OVERLAP: " in said.err
    assert "\nWhat to do: " in said.err
    assert "\x1b" not in said.err


def test_ctrl_c_is_answered_at_once_and_has_an_exit_code_of_its_own(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interruptible: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    interrupt = "os.kill(os.getppid(), 2); import time; time.sleep(60)"
    monkeypatch.setattr(cli, "project_images", lambda _root: played(sfm=interrupt))
    assert main([str(photos), "-o", str(tmp_path / "out")], tmp_path) == STOPPED
    assert "\nstopping ...\n" in capfd.readouterr().err


def test_a_file_that_cannot_become_a_job_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "renamed.zip"
    text.write_text("a text")
    assert main([str(text)], tmp_path) == FAILED
    said = capsys.readouterr()
    assert json.loads(said.out) == {"jobId": None, "status": "rejected", "error": "NOT_A_ZIP"}
    assert "What to do: Put the photos in a folder" in said.err


def test_wrong_use_is_told_apart_from_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere.zip")], tmp_path) == WRONG_USE
    (tmp_path / "a.ply").write_bytes(ply_of())
    assert main([str(tmp_path / "a.ply"), "--logo", str(tmp_path / "no.png")], tmp_path) == WRONG_USE
    assert main([str(tmp_path / "a.ply"), "--logo", str(tmp_path)], tmp_path) == WRONG_USE
    assert main([str(tmp_path / "a.ply"), "-o", "/"], tmp_path) == WRONG_USE
    assert main([str(tmp_path / "a.ply"), "-o", str(tmp_path / "a.ply" / "out")], tmp_path) == WRONG_USE
    assert main([str(tmp_path), "--max-gaussians", "3"], tmp_path) == FAILED  # an option out of range has a code
    for arguments in ([], ["a.zip", "--quality", "best"], ["cloud"], ["cloud", "sideways"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments, tmp_path)
        assert ended.value.code == WRONG_USE
    said = capsys.readouterr().err
    assert "there is no" in said
    assert f"{tmp_path} cannot be read: Is a directory" in said
    assert "nothing can be written at" in said


def test_a_photo_that_cannot_be_read_is_named_at_once(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that no stage reads may be closed."""
    (photos / "notes.txt").write_text("private")
    closed = next(path for path in photos.rglob("*") if path.suffix.lower() == ".jpg")
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) not in (closed, photos / "notes.txt"))
    assert main([str(photos), "-o", str(tmp_path / "out")], tmp_path) == WRONG_USE
    assert f"{closed} cannot be read: Permission denied" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_blocks_are_for_photos_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.ply").write_bytes(ply_of())
    assert main([str(tmp_path / "a.ply"), "--blocks", "2"], tmp_path) == WRONG_USE
    assert "--blocks needs photos or a COLMAP scene" in capsys.readouterr().err


def test_the_help_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, parser().format_help().splitlines())) <= 80


def test_the_cloud_commands_are_those_of_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "main", lambda: 7)
    monkeypatch.setattr(down, "main", lambda: 8)
    assert main(["cloud", "up"], tmp_path) == WRONG_USE  # there is no template, so it is not a checkout
    (tmp_path / "template.yaml").touch()
    assert (main(["cloud", "up"], tmp_path), main(["cloud", "down"], tmp_path)) == (7, 8)


def test_the_doctor_fails_for_what_is_needed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    fine = doctor.Check("GPU", None, "none", "buy one")
    assert doctor.report([fine], sys.stdout) == OK
    assert doctor.report([fine, doctor.python((3, 9))], sys.stdout) == FAILED
    said = capsys.readouterr().out
    assert "MISSING  Python" in said
    assert "3.11 to 3.13 is needed: install one with `uv python install 3.13`" in said


def test_the_doctor_needs_none_of_the_packages_that_it_looks_for(tmp_path: Path) -> None:
    """`-S` leaves out everything that is installed."""
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from spaceport.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-I", "-S", "-c", code, "doctor"]
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "MISSING  packages   missing: numpy" in told.stdout, told.stderr
    assert told.returncode == 1


def test_the_doctor_reads_the_machine() -> None:
    assert [doctor.python(version).ok for version in ((3, 10), (3, 11), (3, 13), (3, 14))] == [False, True, True, False]
    assert doctor.memory("MemTotal:       2000000 kB").ok is False
    assert doctor.memory("").ok is None
    assert doctor.vectors("flags\t\t: fpu avx2 avx512f").found == "AVX-512"
    assert doctor.vectors("flags\t\t: fpu avx2").ok is None
    assert doctor.disk(10**9).ok is False
    assert doctor.packages(("numpy", "torch"), lambda name: name == "numpy").found == "missing: torch"


def test_a_taken_port_is_no_fault(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert doctor.port(held.getsockname()[1]).ok is None
    assert all(check.name for check in doctor.checks(tmp_path))
