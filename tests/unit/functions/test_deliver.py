"""deliver through its handler: the list of files for the customer, figures and cost."""

from __future__ import annotations

import json

import pytest

from contract.stages import Stage
from tests.support.cloud import RESULTS, Cloud, invoke
from tests.support.deliveries import (
    PAGE,
    REPORT,
    VERDICT,
    after,
)
from tests.support.events import sample_event
from tests.support.runs import JOB_ID, output_of


def test_the_sample_event_delivers_everything_by_name(cloud: Cloud) -> None:
    outputs = invoke("deliver", after(cloud, *Stage))["outputs"]
    sfm, training, compressor = (output_of(stage) for stage in Stage)
    assert outputs == {
        "scene.sog": f"{compressor}/scene.sog",
        "scene.ply": f"{compressor}/scene.ply",
        "viewer/index.html": f"{compressor}/viewer/index.html",
        "preview.png": f"{compressor}/preview.png",
        "poster.jpg": f"{compressor}/poster.jpg",
        "orbit.webp": f"{compressor}/orbit.webp",
        "sfm/cloud.json": f"{sfm}/cloud.json",
        "sfm/thumbnails.jpg": f"{sfm}/thumbnails.jpg",
        "sfm/cameras.png": f"{sfm}/cameras.png",
        "sfm/overlap.png": f"{sfm}/overlap.png",
        "sfm/photos.json": f"{sfm}/photos.json",
        "sfm/georeference.json": f"{sfm}/georeference.json",
        "3dgs/held_out.png": f"{training}/held_out.png",
        "sfm/result.json": f"{sfm}/result.json",
        "3dgs/result.json": f"{training}/result.json",
        "compressor/result.json": f"{compressor}/result.json",
        "report.html": PAGE,
        "report.json": REPORT,
    }


def test_only_the_files_that_a_stage_lists_are_delivered(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    cloud.put_result(output_of(Stage.COMPRESSOR), counts={}, files=[{"path": "scene.sog", "bytes": 5}])
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
        "place": {"latitude": 47.1, "longitude": 8.5, "system": "WGS 84 / UTM zone 32N"},
        "verdict": VERDICT,
    }


def test_a_scene_without_a_map_projection_has_its_place_and_one_without_a_place_none(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    uri = f"{output_of(Stage.SFM)}/georeference.json"
    cloud.put(uri, json.dumps({"origin": {"latitude": -33.8567851, "longitude": 0, "altitude": None}}).encode())
    assert invoke("deliver", event)["metrics"]["place"] == {"latitude": -33.856785, "longitude": 0}
    cloud.put(uri, json.dumps({"origin": None, "reason": "no photo has GPS"}).encode())
    assert "place" not in invoke("deliver", event)["metrics"]


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
    cloud.put_result(output_of(Stage.COMPRESSOR), metrics={"psnrBefore": 24.1, "psnrAfter": 0.0})
    assert invoke("deliver", event)["metrics"]["psnr"] == 0.0


def test_a_result_that_has_gone_is_an_error_that_names_it(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    key = f"intermediates/{JOB_ID}/sfm/1/result.json"
    cloud.s3.delete_object(Bucket=RESULTS, Key=key)
    with pytest.raises(ValueError, match=key):
        invoke("deliver", event)


def test_the_delivery_fills_the_job_succeeded_event_of_the_samples(cloud: Cloud) -> None:
    delivery = invoke("deliver", after(cloud, *Stage))
    sample = sample_event("status/job-succeeded")["detail"]
    assert sample["cost"] == delivery["cost"]
    assert sample["metrics"] == delivery["metrics"]
    assert sample["outputs"].items() <= delivery["outputs"].items()


def test_what_compression_lost_is_lost_to_the_score(cloud: Cloud) -> None:
    scores = []
    for after_compression in (24.1, 21.1):
        event = after(cloud, *Stage)
        metrics = {"psnrBefore": 24.1, "psnrAfter": after_compression}
        cloud.put_result(output_of(Stage.COMPRESSOR), metrics=metrics)
        scores.append(invoke("deliver", event)["metrics"]["score"])
    assert scores[1] < scores[0]
