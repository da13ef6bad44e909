"""Faulty uploads: a coded error, one mail that says what to do, nothing left running."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.archive import Method
from local.customer import StatusEvent
from tests.e2e.conftest import Customer
from tests.support.archives import ENCRYPTED, UTF8, Packed, archive_of, zip_of
from tests.support.corpus import encoded

pytestmark = pytest.mark.e2e


def jpeg(seed: int) -> bytes:
    """A photo of something that no other photo shows."""
    noise = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC))


def encrypted(files: dict[str, bytes]) -> bytes:
    return archive_of(Packed(name.encode(), body, Method.STORED, ENCRYPTED | UTF8) for name, body in files.items())


def photos(count: int) -> dict[str, bytes]:
    return {f"DJI_{i:04}.JPG": jpeg(i) for i in range(count)}


REJECTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "not-a-zip": (lambda: b"these are not the bytes of a ZIP" * 40, "NOT_A_ZIP"),
    "no-bytes": (lambda: b"", "EMPTY_ARCHIVE"),
    "empty": (lambda: zip_of({}), "EMPTY_ARCHIVE"),
    "encrypted": (lambda: encrypted(photos(6)), "ENCRYPTED_ARCHIVE"),
    "no-photos": (lambda: zip_of({"readme.txt": b"hello", "plan.docx": b"x"}), "NO_PHOTOS"),
    "two-photos": (lambda: zip_of(photos(2)), "TOO_FEW_PHOTOS"),
    "traversal": (lambda: zip_of({**photos(6), "../../etc/passwd": b"x"}), "UNSAFE_ARCHIVE"),
}


def error_of(event: StatusEvent) -> dict[str, str]:
    assert event.error is not None, event
    return event.error


@pytest.mark.parametrize("name", REJECTED)
def test_an_upload_that_cannot_be_used_is_rejected_before_any_machine(
    customer: Customer, tmp_path: Path, name: str
) -> None:
    make, code = REJECTED[name]
    upload = tmp_path / f"{name}.zip"
    upload.write_bytes(make())
    email = f"{name}@example.com"
    events = customer.send(upload, email)
    assert [event.type for event in events] == ["Job Rejected"]
    assert error_of(events[0])["code"] == code
    mail = customer.only_mail(email)
    assert mail.subject == f"We could not accept your upload “{name}”"
    assert error_of(events[0])["hint"] in mail.text
    assert customer.sagemaker_jobs(events[0].job_id) == []
    assert customer.ended_item(events[0].job_id)["status"]["S"] == "REJECTED"


def test_a_wrong_setting_is_named(customer: Customer, tmp_path: Path) -> None:
    upload = tmp_path / "setting.zip"
    upload.write_bytes(zip_of(photos(6)))
    events = customer.send(upload, "setting@example.com", quality="best")
    assert error_of(events[0])["code"] == "INVALID_OPTION"
    assert "quality" in customer.only_mail("setting@example.com").text


def test_photos_without_overlap_fail_with_advice(customer: Customer, tmp_path: Path) -> None:
    upload = tmp_path / "elsewhere.zip"
    upload.write_bytes(zip_of(photos(6)))
    events = customer.send(upload, "elsewhere@example.com")
    end = next(event for event in events if event.ends_job)
    assert (end.type, error_of(end)["code"]) in [("Job Failed", "NO_OVERLAP"), ("Job Failed", "NO_FEATURES")]
    assert [event.type for event in events if event.stage == "sfm"][-1] == "Stage Failed"
    execution = customer.ended_execution(end.job_id)
    assert (execution["status"], execution["error"]) == ("FAILED", error_of(end)["code"])
    mail = customer.only_mail("elsewhere@example.com").text
    assert error_of(end)["hint"] in mail
    assert "See what happened to each photo: " in mail
    rows = json.loads(customer.result(f"intermediates/{end.job_id}/sfm/evidence/photos.json"))
    assert [row["registered"] for row in rows] == [False] * 6
    assert customer.result(f"intermediates/{end.job_id}/sfm/evidence/thumbnails.jpg").startswith(b"\xff\xd8\xff")
    assert customer.sagemaker_jobs(end.job_id) == [(f"{end.job_id}-sfm-1", "Failed")]


def test_a_corrupt_photo_among_good_ones_is_skipped_and_named(customer: Customer, sample: Path, tmp_path: Path) -> None:
    upload = tmp_path / "scratched.zip"
    with zipfile.ZipFile(sample) as good, zipfile.ZipFile(upload, "w") as target:
        for index, name in enumerate(sorted(good.namelist())):
            content = good.read(name)
            target.writestr(name, content[: len(content) // 3] if index == 4 else content)
        corrupt = sorted(good.namelist())[4]
    events = customer.send(upload, "scratched@example.com", quality="preview", trainingSteps="30")
    end = next(event for event in events if event.ends_job)
    assert end.type == "Job Succeeded", end.error
    assert (end.metrics["photos"], end.metrics["registered"]) == (20, 19)
    report = customer.report(end)
    assert any(Path(corrupt).name in " ".join([w["message"], *w["names"]]) for w in report["warnings"]), report[
        "warnings"
    ]
