"""The results of a flight's blocks, joined into one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.joined_results import BlockResult, joined_result, joined_views, pooled, weighed


def result(psnr: float, *names: str, gaussians: int = 1000, **metrics: Any) -> dict[str, Any]:
    views = [{"name": name, "psnr": psnr, "psnr_seen": None, "ssim": 0.8, "seen": 0.5} for name in names]
    return {
        "version": 1,
        "stage": "3dgs",
        "jobId": "job",
        "attempt": 2,
        "counts": {"gaussians": gaussians, "steps": 10, "trainViews": 70, "heldOutViews": 10},
        "metrics": {"views": views, "ended": "steps", "trainedSteps": 9, "psnrOffPath": 20.0, **metrics},
        "timings": {"train": 5.0},
        "resources": {"wallSeconds": 10.0, "cpuSeconds": 15.0, "peakMemoryBytes": 100},
        "warnings": [{"code": "TIME_BUDGET", "message": "late", "names": []}],
    }


def test_a_photo_in_two_blocks_has_one_score_by_its_pixels() -> None:
    blocks = [
        BlockResult(result(20, "a", "b"), 0.5, {"a": 300, "b": 100}),
        BlockResult(result(30, "a"), 0.5, {"a": 100}),
    ]
    a, b = joined_views(blocks)
    assert (a["name"], b["name"]) == ("a", "b")
    assert a["psnr"] == pytest.approx(21.107, abs=0.01)  # (3 · 0.01 + 0.001) / 4
    assert b["psnr"] == 20
    assert a["psnr_seen"] is None
    assert a["ssim"] == pytest.approx(0.8)


@given(values=st.lists(st.tuples(st.floats(1, 1000), st.floats(5, 50)), min_size=1, max_size=8))
def test_a_pooled_figure_lies_between_the_parts(values: list[tuple[float, float]]) -> None:
    found = pooled(values)
    assert found is not None
    assert min(value for _, value in values) - 1e-3 <= found <= max(value for _, value in values) + 1e-3


def test_nothing_known_is_nothing_pooled() -> None:
    assert pooled([(5, None)]) is None
    assert weighed([]) is None
    assert pooled([(5, None), (1, 20.0)]) == 20


def test_the_joined_result_counts_gaussians_of_the_blocks_and_photos_of_the_flight() -> None:
    blocks = [
        BlockResult(
            result(20, "a", gaussians=700, psnrOffPath=10.0, contrastOffPath=2.0, ended="time"), 0.25, {"a": 1}
        ),
        BlockResult(
            result(30, "b", gaussians=900, psnrOffPath=20.0, contrastOffPath=6.0, device="cpu"), 0.75, {"b": 1}
        ),
    ]
    whole = joined_result(result(5, "a", "b", gaussians=50, viewsPerPlace=7.5), blocks)
    assert whole["counts"] == {
        "gaussians": 1600, "steps": 20, "trainViews": 70, "heldOutViews": 10, "denseSeeds": 0, "densePoints": 0,
        "virtualViews": 0,
    }  # fmt: skip
    metrics = whole["metrics"]
    assert (metrics["psnr"], metrics["psnrOffPath"], metrics["viewsPerPlace"]) == (25, 17.5, 7.5)
    assert metrics["contrastOffPath"] == 5
    assert (metrics["ended"], metrics["trainedSteps"], metrics["device"]) == ("time", 18, "cpu")
    assert whole["attempt"] == 1
    assert whole["timings"] == {"train": 15.0}
    assert whole["resources"] == {"wallSeconds": 30.0, "cpuSeconds": 45.0, "peakMemoryBytes": 100}
    assert len(whole["warnings"]) == 1
