"""deliver through its handler: the report, and the list of what the customer gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliver.report import score
from spaceport.stages import Stage
from tests.support.cloud import RESULTS, Cloud, invoke
from tests.support.events import sample_event
from tests.support.runs import JOB_ID, output_of

FILES = {
    Stage.SFM: ["cameras.png", "photos.json", "georeference.json", "images/000001.jpg"],
    Stage.TRAINING: ["scene.ply", "held_out.png", "views.json"],
    Stage.COMPRESSOR: ["scene.sog", "scene.ply", "viewer/index.html", "preview.png", "orbit.webp"],
}
REPORT = f"s3://{RESULTS}/jobs/{JOB_ID}/report.json"


def after(cloud: Cloud, *stages: Stage, warnings: dict[Stage, list[dict[str, Any]]] | None = None) -> dict[str, Any]:
    """The state machine's data when `stages` have run, their results in S3."""
    event = sample_event("deliver/full")
    event["stages"] = {name: out for name, out in event["stages"].items() if Stage(out["stage"]) in stages}
    for output in event["stages"].values():
        stage = Stage(output["stage"])
        cloud.put_result(
            output["outputUri"],
            counts=output["counts"],
            metrics=output["metrics"],
            warnings=(warnings or {}).get(stage, []),
            files=[{"path": path, "bytes": 1, "sha256": "0"} for path in FILES[stage]],
        )
    return event


def test_the_sample_event_delivers_everything_by_name(cloud: Cloud) -> None:
    outputs = invoke("deliver", after(cloud, *Stage))["outputs"]
    sfm, training, compressor = (output_of(stage) for stage in Stage)
    assert outputs == {
        "scene.sog": f"{compressor}/scene.sog",
        "scene.ply": f"{compressor}/scene.ply",
        "viewer/index.html": f"{compressor}/viewer/index.html",
        "preview.png": f"{compressor}/preview.png",
        "orbit.webp": f"{compressor}/orbit.webp",
        "sfm/cameras.png": f"{sfm}/cameras.png",
        "sfm/photos.json": f"{sfm}/photos.json",
        "sfm/georeference.json": f"{sfm}/georeference.json",
        "3dgs/held_out.png": f"{training}/held_out.png",
        "sfm/result.json": f"{sfm}/result.json",
        "3dgs/result.json": f"{training}/result.json",
        "compressor/result.json": f"{compressor}/result.json",
        "report.json": REPORT,
    }


def test_only_what_a_stage_says_it_left_is_delivered(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    cloud.put_result(output_of(Stage.COMPRESSOR), counts={}, files=[{"path": "scene.sog"}])
    outputs = invoke("deliver", event)["outputs"]
    assert "scene.sog" in outputs
    assert "preview.png" not in outputs


def test_the_headline_figures_are_those_of_the_job(cloud: Cloud) -> None:
    assert invoke("deliver", after(cloud, *Stage))["metrics"] == {
        "photos": 18,
        "registered": 18,
        "gaussians": 100_000,
        "psnr": 24.05,
        "ssim": 0.78,
        "bytes": 1_400_000,
        "score": 74,
        "seconds": {"sfm": 61.0, "3dgs": 120.0, "compressor": 20.0},
    }


def test_the_cost_is_the_sum_of_the_stages(cloud: Cloud) -> None:
    cost = invoke("deliver", after(cloud, *Stage))["cost"]
    assert (cost["seconds"], cost["dollars"]) == (201.0, 0.0428)
    assert cost["stages"]["3dgs"] == {"seconds": 120.0, "dollars": 0.0245}


def test_a_sum_with_an_unknown_price_is_no_price(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    del event["stages"]["training"]["cost"]["dollars"]
    cost = invoke("deliver", event)["cost"]
    assert cost["seconds"] == 201.0
    assert "dollars" not in cost


def test_the_report_holds_quality_size_time_and_money(cloud: Cloud) -> None:
    delivery = invoke("deliver", after(cloud, *Stage))
    report = cloud.get_json(REPORT)
    assert report["cost"] == delivery["cost"]
    assert {name: report[name] for name in report if name not in ("cost", "seconds")} == {
        "version": "1",
        "jobId": JOB_ID,
        "name": "meadow",
        "photos": 18,
        "registered": 18,
        "gpsRmsMetres": 0.35,
        "gaussians": 100_000,
        "psnr": 24.05,
        "psnrBeforeCompression": 24.1,
        "ssim": 0.78,
        "bytes": 1_400_000,
        "compressionRatio": 16.8,
        "score": 74,
        "warnings": [],
    }


def test_the_report_has_every_warning_of_every_stage(cloud: Cloud) -> None:
    blurred = {"code": "BLURRED", "message": "3 photos are blurred", "names": ["ü.jpg"]}
    flat = {"code": "NO_GPS", "message": "no photo has a position", "names": []}
    invoke("deliver", after(cloud, *Stage, warnings={Stage.SFM: [blurred], Stage.COMPRESSOR: [flat]}))
    assert cloud.get_json(REPORT)["warnings"] == [blurred, flat]


def test_delivering_again_writes_the_same_report_and_gives_the_same_answer(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    first, report = invoke("deliver", event), cloud.get_json(REPORT)
    assert (invoke("deliver", event), cloud.get_json(REPORT)) == (first, report)


def test_a_compression_alone_has_no_score_and_no_photos(cloud: Cloud) -> None:
    delivery = invoke("deliver", after(cloud, Stage.COMPRESSOR))
    assert sorted(delivery["metrics"]) == ["bytes", "gaussians", "psnr", "seconds"]
    assert not any(name.startswith(("sfm/", "3dgs/")) for name in delivery["outputs"])


def test_training_without_compressed_views_reports_its_own_psnr(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    cloud.put_result(output_of(Stage.COMPRESSOR), metrics={"psnrBefore": None, "psnrAfter": None})
    assert invoke("deliver", event)["metrics"]["psnr"] == 24.1


def test_a_psnr_of_nought_after_compression_is_not_glossed_over(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    cloud.put_result(output_of(Stage.COMPRESSOR), metrics={"psnrAfter": 0.0})
    assert invoke("deliver", event)["metrics"]["psnr"] == 0.0


def test_a_result_that_has_gone_is_an_error_that_names_it(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    key = f"jobs/{JOB_ID}/sfm/1/result.json"
    cloud.s3.delete_object(Bucket=RESULTS, Key=key)
    with pytest.raises(ValueError, match=key):
        invoke("deliver", event)


def test_the_delivery_fills_the_job_succeeded_event_of_the_samples(cloud: Cloud) -> None:
    delivery = invoke("deliver", after(cloud, *Stage))
    sample = sample_event("status/job-succeeded")["detail"]
    assert sample["cost"] == delivery["cost"]
    assert sample["metrics"] == delivery["metrics"]
    assert sample["outputs"].items() <= delivery["outputs"].items()


@pytest.mark.parametrize(
    ("psnr", "ssim", "registered", "expected"),
    [(30.0, 1.0, 1.0, 100), (45.0, 1.0, 1.0, 100), (15.0, 0.0, 0.0, 0), (5.0, 0.0, 0.0, 0), (22.5, 0.5, 0.5, 50)],
)
def test_the_score_runs_from_unusable_to_as_good_as_the_photos(
    psnr: float, ssim: float, registered: float, expected: int
) -> None:
    assert score(psnr, ssim, registered) == expected


@pytest.mark.parametrize("missing", range(3))
def test_without_one_of_its_figures_there_is_no_score(missing: int) -> None:
    figures: list[float | None] = [24.0, 0.8, 1.0]
    figures[missing] = None
    assert score(*figures) is None


@given(st.floats(0, 60), st.floats(-1, 1), st.floats(0, 1), st.floats(0, 10))
def test_a_score_is_0_to_100_and_better_pictures_never_lower_it(
    psnr: float, ssim: float, registered: float, better: float
) -> None:
    low, high = score(psnr, ssim, registered), score(psnr + better, ssim, registered)
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= 100


def test_the_report_is_written_for_people_to_read(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    event["name"] = "Große Wiese"
    invoke("deliver", event)
    answer = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.json")
    body = answer["Body"].read().decode()
    assert "Große Wiese" in body
    assert body == json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    assert answer["ContentType"] == "application/json"
