"""How the demo reads its arguments, what it prints at its end, and where it writes its result."""

import errno
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local import demo
from local.address import Address
from local.board import Board
from local.cloud import Cloud
from local.customer import Mail, StatusEvent, fetch
from local.demo import closing_lines, deliver, one_of_each, packed, parse, summary, tidy

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
HEADLINE = {
    "photos": 20,
    "registered": 19,
    "psnr": 24.5,
    "bytes": 1_000_000,
    "seconds": {"sfm": 20.519, "3dgs": 60.0, "compressor": 9.0},
    "gaussians": 9,
}


def ended(kind: str, **more: Any) -> StatusEvent:
    return StatusEvent(kind, "orchard-1", 9_999_999, NOW, 1.0, "said", **more)


def board_of(last: StatusEvent) -> Board:
    board = Board()
    board.apply(StatusEvent("Stage Started", "orchard-1", 1_010_000, NOW.replace(minute=0), 0.0, "waiting", "sfm", 1))
    board.apply(last)
    return board


def test_a_success_ends_with_its_figures() -> None:
    assert summary(board_of(ended("Job Succeeded", metrics=HEADLINE)), NOW) == {
        "jobId": "orchard-1",
        "status": "succeeded",
        "seconds": {"sfm": 20.5, "3dgs": 60.0, "compressor": 9.0},
        "registered": 19,
        "photos": 20,
        "psnr": 24.5,
        "bytes": 1_000_000,
    }


def test_a_failure_ends_with_its_code_and_the_seconds_so_far() -> None:
    error = {"code": "NO_OVERLAP", "message": "The photos do not overlap.", "hint": "Fly with 70 % overlap."}
    result = summary(board_of(ended("Job Failed", error=error)), NOW)
    assert (result["status"], result["error"], result["seconds"]) == ("failed", "NO_OVERLAP", {"sfm": 60.0})
    assert result["psnr"] is None


def test_the_customer_reads_what_went_wrong_and_what_to_do() -> None:
    error = {"code": "NOT_A_ZIP", "message": "It is not a ZIP.", "hint": "Send a ZIP."}
    lines = closing_lines(ended("Job Rejected", error=error), Path("out/x"), Mail(("a@b.c",), "Sorry", "", ""))
    assert "Job Rejected: It is not a ZIP." in lines
    assert "What to do: Send a ZIP." in lines
    assert lines[-1].split() == ["mail", "out/x/mail.html", "(Sorry)"]


def test_only_what_was_delivered_is_named() -> None:
    outputs = {"scene.sog": "s3://b/a", "viewer/index.html": "s3://b/b", "report.json": "s3://b/c"}
    lines = closing_lines(ended("Job Succeeded", outputs=outputs), Path("out/x"), None)
    assert [line.split() for line in lines[1:]] == [
        ["viewer", "out/x/viewer/index.html"],
        ["splat", "out/x/scene.sog"],
        ["mail", "none", "came"],
    ]


def test_the_mail_as_a_page_shows_the_files_beside_it() -> None:
    signed = "http://127.0.0.1:1/results/jobs/a%20b/viewer/index.html?Signature=x&amp;Expires=1"
    mail = Mail(
        ("a@b.c",), "s", "", f'<img src="cid:preview@x"><a href="{signed}">A</a><a href="https://b.org/?c">B</a>'
    )
    assert mail.page(Address(1, 2), {"viewer/index.html": "s3://results/jobs/a b/viewer/index.html"}) == (
        '<img src="preview.png"><a href="viewer/index.html">A</a><a href="https://b.org/?c">B</a>'
    )


def test_an_event_without_a_member_of_the_contract_is_an_error() -> None:
    with pytest.raises(KeyError):
        StatusEvent.parse({"detail-type": "Job Started", "detail": {"jobId": "x"}})


def test_names_of_a_customers_files_are_no_commands_to_the_terminal() -> None:
    hostile = "photo\x1b]0;owned\x07\x9b2J\u202egpj.exe\nmail     /etc/passwd"
    error = {"code": "ENCRYPTED_ARCHIVE", "message": hostile, "hint": hostile}
    lines = closing_lines(ended("Job Rejected", error=error), Path("out/x"), Mail(("a@b.c",), hostile, "", ""))
    assert all(line.isprintable() for line in lines)
    assert "\\x1b]0;owned\\x07" in lines[1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--zip", "nowhere.zip"], "there is no file or folder 'nowhere.zip'"),
        (["--quality", "best"], "QUALITY is 'best', and must be one of preview, standard, high"),
        (["--zip"], "expected one argument"),
        (["--logo", "nowhere.png"], "there is no file 'nowhere.png'"),
        (["--logo", "."], "there is no file '.'"),
        (["--zip", "a.jpg " * 100], "cannot be read: File name too long"),
        (["--zip", "caf\udce9.zip"], "'caf\\udce9.zip' is not UTF-8; rename the file or folder"),
    ],
)
def test_wrong_use_is_explained_in_the_words_that_were_typed(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(given)
    assert ended.value.code == 2
    explained = capsys.readouterr().err
    assert said in explained
    assert "usage: make demo [ZIP=photos.zip or a folder]" in explained
    assert "demo.py" not in explained


def test_a_folder_is_uploaded_as_a_zip_of_its_name(tmp_path: Path) -> None:
    photos = tmp_path / "Große Wiese"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"photo")
    archive = packed(photos, tmp_path)
    assert archive.name == "Große Wiese.zip"
    assert zipfile.ZipFile(archive).namelist() == ["a.jpg"]


class Disk:
    """Replaces S3's client: it writes the requested files, until a folder's disk is full."""

    def __init__(self, full: Path | None = None) -> None:
        self._full = full

    def download_file(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_text(key)
        if self._full is not None and Path(path).is_relative_to(self._full):
            raise OSError(errno.ENOSPC, "No space left on device")


class Anywhere(Address):
    """A cloud's address whose S3 is a Disk."""

    disk = Disk()

    def client(self, service: str, *_: Any) -> Any:
        assert service == "s3"
        return self.disk


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(demo, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(Anywhere, "disk", Disk())
    return Cloud(Anywhere(1, 2), 3, tmp_path / "cloud")


OUTPUTS: Mapping[str, str] = {"scene.sog": "s3://b/new"}


def test_a_result_never_replaces_an_earlier_one(cloud: Cloud, tmp_path: Path) -> None:
    last = ended("Job Succeeded", outputs=OUTPUTS)
    folders = [deliver(cloud, last, tmp_path / "out" / "meadow", None) for _ in range(3)]
    assert [folder.name for folder in folders] == ["meadow", "meadow-2", "meadow-3"]
    with pytest.raises(OSError, match="not empty"):
        fetch(cloud.address, OUTPUTS, folders[0])
    assert (folders[0] / "scene.sog").read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["meadow", "meadow-2", "meadow-3"]


def test_a_result_that_finds_no_room_goes_to_another_disk(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Anywhere, "disk", Disk(tmp_path / "out"))
    folder = deliver(cloud, ended("Job Succeeded", outputs=OUTPUTS), tmp_path / "out" / "meadow", None)
    assert folder == tmp_path / "checkout" / ".local" / "delivered" / "meadow"
    assert (folder / "scene.sog").read_text() == "new"
    assert list((tmp_path / "out").iterdir()) == []  # no partial result stays
    assert f"cannot be written to {tmp_path / 'out'}: No space left on device" in capsys.readouterr().err
    monkeypatch.setattr(Anywhere, "disk", Disk(tmp_path))
    with pytest.raises(OSError, match="No space left"):
        deliver(cloud, ended("Job Succeeded", outputs=OUTPUTS), tmp_path / "out" / "meadow", None)


def test_a_result_goes_elsewhere_if_nothing_can_be_written_where_it_belongs(
    cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")
    folder = deliver(cloud, ended("Job Succeeded", outputs=OUTPUTS), tmp_path / "out" / "meadow", None)
    assert folder == tmp_path / "checkout" / ".local" / "delivered" / "meadow"
    assert (folder / "scene.sog").read_text() == "new"
    assert f"the result cannot be written to {tmp_path / 'out'}" in capsys.readouterr().err


def test_files_that_cannot_be_removed_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A container engine leaves files that belong to root."""
    folder = tmp_path / "demo"
    (folder / "ml").mkdir(parents=True)
    for name in ("scene.ply", "stage.log", "upload.zip"):
        (folder / "ml" / name).write_text(name)
    original = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name == "scene.ply":
            raise PermissionError(errno.EACCES, "Permission denied")
        original(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    tidy(folder, keep_logs=True)
    assert sorted(path.name for path in (folder / "ml").iterdir()) == ["scene.ply", "stage.log"]
    assert "could not be removed" in capsys.readouterr().err


def test_a_failed_run_leaves_its_logs_and_a_stopped_one_nothing(tmp_path: Path) -> None:
    def left() -> Path:
        folder = tmp_path / "demo"
        (folder / "jobs" / "a" / "ml").mkdir(parents=True)
        (folder / "jobs" / "a" / "container.log").write_text("log")
        (folder / "jobs" / "a" / "ml" / "upload.zip").write_text("photos")
        return folder

    tidy(left(), keep_logs=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["container.log"]
    assert not (tmp_path / "demo" / "jobs" / "a" / "ml").exists()
    (tmp_path / "demo" / "jobs" / "a" / "container.log").unlink()
    tmp_path.joinpath("demo/jobs/a").rmdir()
    tidy(left(), keep_logs=False)
    assert list(tmp_path.iterdir()) == []


def test_the_flight_is_trained_in_as_many_blocks_as_were_asked_for() -> None:
    assert parse([]).blocks is None
    assert parse(["--blocks", "4"]).blocks == 4


@pytest.mark.parametrize("blocks", ["0", "-1", "41", "four", "²"])
def test_a_number_of_blocks_that_cannot_be_is_wrong_use(blocks: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([f"--blocks={blocks}"])
    assert ended.value.code == 2
    assert "BLOCKS" in capsys.readouterr().err


@pytest.mark.parametrize("with_logo", [True, False])
def test_the_company_and_its_logo_are_the_stacks(
    with_logo: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}
    stored: dict[str, bytes] = {}

    class Storage:
        def put_object(self, **request: Any) -> None:
            stored[f"{request['Bucket']}/{request['Key']}"] = request["Body"]

    def deployed(_address: Address, _root: Path, parameters: Mapping[str, str]) -> dict[str, str]:
        given.update(parameters)
        return {"ResultsBucket": "results"}

    monkeypatch.setattr(demo, "deploy_pipeline", deployed)
    monkeypatch.setattr(Address, "client", lambda _self, _service: Storage())
    logo = tmp_path / "logo.png"
    logo.write_bytes(b"png")
    demo.deploy_for(Address(1, 2), "Survey Ltd", logo if with_logo else None)
    assert given == {"CompanyName": "Survey Ltd", "CompanyLogo": "branding/logo" if with_logo else ""}
    assert stored == ({"results/branding/logo": b"png"} if with_logo else {})


def test_blocks_take_turns_on_one_machine() -> None:
    assert one_of_each()
    assert set(one_of_each().values()) == {1}
    assert all(name.startswith("ml.g") for name in one_of_each())
