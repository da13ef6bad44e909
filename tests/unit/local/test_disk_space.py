"""The local cloud does not start if its disk has too little space for a job."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from contract.codes import ErrorCode
from local import demo, sample_photos, up
from local.cloud import CloudError, start_detached
from local.customer import Subscription
from local.folders import code_of
from tests.support.sam_template import Template


def test_a_full_disk_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=30 * 10**6))
    with pytest.raises(CloudError, match="free, and a job needs 2 GB"):
        start_detached(tmp_path / "cloud")
    assert not (tmp_path / "cloud" / "cloud.log").exists()


def test_a_disk_that_fills_up_meanwhile_ends_the_demo_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cloud's functions then cannot start, and no event would ever arrive."""
    asked: list[str] = []

    class Queue:
        def receive_message(self, **_: object) -> dict[str, object]:
            asked.append("")
            monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=7 * 10**6))
            return {}

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9 * 10**9))
    with pytest.raises(OSError, match="No space left") as raised:
        list(Subscription(Queue(), "queue").follow(3600, lambda: demo.check_room(tmp_path)))
    assert len(asked) == 1
    assert code_of(raised.value) is ErrorCode.DISK_FULL


def test_two_first_demos_make_one_sample(tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sample.zip").write_text(name)
    sample_photos.place(tmp_path / "theirs", tmp_path / "sample")
    sample_photos.place(tmp_path / "mine", tmp_path / "sample")
    assert (tmp_path / "sample" / "sample.zip").read_text() == "theirs"
    with pytest.raises(FileNotFoundError):
        sample_photos.place(tmp_path / "nothing", tmp_path / "other")


def test_a_second_start_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with up.alone(tmp_path / "cloud"):
            order.append("second")

    with up.alone(tmp_path / "cloud"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_twenty_uploads_are_as_many_machines_as_the_quota_has() -> None:
    """`make up` gives the local account one machine of each type that the template asks for; other runs wait."""
    template = Template.load()
    types = {
        kind.partition("+")[0]
        for name, parameter in template.parameters.items()
        if name.endswith("InstanceTypes")
        for kind in str(parameter["Default"]).split(",")
    }
    assert dict.fromkeys(types, 1) == up.QUOTAS
