"""The check that a GPU machine runs, on the CPU: its whole plan on one small scene, with gsplat's kernels replaced."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.support.gsplat_on_cpu import drive_on_cpu
from tests.unit.trainer.synthetic import make_scene

ROOT = Path(__file__).parents[3]
PLAN = ["--device", "cpu", "--plan", "12:120:32", "--parity", "60"]


@pytest.fixture(autouse=True)
def _gsplat(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    drive_on_cpu(monkeypatch)
    yield
    torch.set_num_threads(threads)


def test_the_whole_check_runs_and_a_second_call_does_nothing_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import __main__ as check
    from benchmarks.gpu import runs

    make_scene(tmp_path / "tiny")
    words = [str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), *PLAN]
    assert check.main(words) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["parity_passes"]
    assert line["parity"]["picture"] < 1e-3
    for who in check.WHO:
        found = line[f"tiny/12/{who}"]
        assert found["steps"] == 12
        assert found["psnr"] > 5
        assert 0 < found["gaussians"] <= 300
    assert line["breakdown"]["ms_a_step"] > 0
    assert set(line["breakdown"]) >= {"step_ms", "pixel_ns", "gaussian_ns", "gpu_busy"}

    monkeypatch.setattr(runs, "ours", None)
    monkeypatch.setattr(runs, "baseline", None)
    assert check.main(words) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == line


def test_no_run_begins_when_time_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.gpu import __main__ as check

    make_scene(tmp_path / "tiny")
    assert check.main([str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), "--seconds", "0", *PLAN]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(line) == {"parity_passes", "parity", "device"}


def test_pictures_that_differ_end_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import __main__ as check
    from benchmarks.gpu import parity

    wrong = parity.Parity(0.0, {"means": 2 * parity.GRADIENT})
    monkeypatch.setattr(parity, "measure", lambda _device, _count: wrong)
    assert check.main([str(tmp_path / "none"), "--out", str(tmp_path / "out"), *PLAN]) == 1
    assert not json.loads(capsys.readouterr().out.splitlines()[-1])["parity_passes"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
def test_a_machine_without_a_gpu_is_told_so() -> None:
    done = subprocess.run([ROOT / "scripts" / "gpu_check.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no CUDA GPU" in done.stderr or "torch" in done.stderr


def test_the_bundle_holds_photos_no_larger_than_they_are_trained(tmp_path: Path) -> None:
    from benchmarks import gpu_bundle

    make_scene(tmp_path / "scene", photos=2)
    Image.new("RGB", (3200, 2400)).save(tmp_path / "scene" / "images" / "large.jpg")
    gpu_bundle.pack(tmp_path / "scene", tmp_path / "packed")
    assert (tmp_path / "packed" / "sparse" / "0" / "points3D.bin").is_file()
    assert Image.open(tmp_path / "packed" / "images" / "large.jpg").size == (1600, 1200)


@pytest.mark.parametrize(("lists", "package"), [("requirements-cuda.txt", "gsplat"), ("requirements.txt", "plyfile")])
def test_the_bundles_packages_are_the_images(lists: str, package: str) -> None:
    from benchmarks.gpu_bundle import locked

    lines = locked(ROOT / "containers" / "3dgs" / lists, package).splitlines()
    assert lines[0].startswith(f"{package}==")
    assert len(lines) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
