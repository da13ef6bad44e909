"""deliver through its handler: report.json and report.html."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.stages import Stage
from contract.warning_codes import WARNINGS, WarningCode
from deliver.chart import ticks
from tests.support.cloud import RESULTS, Cloud, invoke
from tests.support.deliveries import (
    JPEG,
    MAP,
    OVERLAP,
    PAGE,
    PHOTOS,
    PLACE,
    REPORT,
    VIEW,
    after,
    with_pictures,
)
from tests.support.runs import JOB_ID, output_of


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_the_report_says_whose_prices_it_counts(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    monkeypatch.setenv("STACK_REGION", region)
    invoke("deliver", after(cloud, *Stage))
    page = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")["Body"].read().decode()
    assert "Machine time as billed, at the list prices in us-east-1 of " in page
    assert ("as those in eu-west-1 are not known" in page) == (region == "eu-west-1")


def test_the_report_of_a_machine_that_was_not_rented_speaks_of_no_bill(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    for stage in event["stages"].values():
        del stage["cost"]["dollars"]
    invoke("deliver", event)
    page = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")["Body"].read().decode()
    assert "<h2>Processing time</h2>" in page
    assert not any(word in page for word in ("billed", "us-east-1", ">Cost<", "$"))


def test_the_photos_beside_their_renders_are_spread_over_the_flight(cloud: Cloud) -> None:
    event = with_pictures(cloud)
    compressor = output_of(Stage.COMPRESSOR)
    names = [f"{number:06d}" for number in range(12)]
    views = [{"name": f"{name}.jpg", "picture": f"held_out/{name}.jpg", **VIEW} for name in names]
    for number, name in enumerate(names):
        cloud.put(f"{compressor}/held_out/{name}.jpg", JPEG + bytes([number]))
    cloud.put_result(compressor, metrics=event["stages"]["compressor"]["metrics"] | {"views": views})
    invoke("deliver", event)
    answer = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")
    page = answer["Body"].read().decode()
    shown = [number for number in range(12) if base64.b64encode(JPEG + bytes([number])).decode() in page]
    assert shown == [0, 2, 4, 6, 8, 10]


def test_the_report_holds_quality_photos_size_time_and_money(cloud: Cloud) -> None:
    delivery = invoke("deliver", with_pictures(cloud))
    report = cloud.get_json(REPORT)
    view = report["heldOut"][0]
    for name in ("psnrAfter", "ssimAfter"):
        report[name] = view.pop(name)
    for name in ("psnr", "ssim", "psnrAfter", "ssimAfter"):
        report[name] = round(report[name], 6)
    assert report["cost"] == delivery["cost"]
    left_out = ("cost", "seconds", "timings", "files", "scoreParts", "options", "trainingCurve", "uploadedAt")
    assert {name: report[name] for name in report if name not in left_out} == {
        "version": "1",
        "jobId": JOB_ID,
        "name": "meadow",
        "photos": 18,
        "registered": 18,
        "photoList": [
            {"name": "DJI <1>.JPG", "used": True, "reason": None, "kind": None, "film": None, "seconds": None},
            {
                "name": "DJI_2.JPG",
                "used": False,
                "reason": "blurred & dark",
                "kind": None,
                "film": None,
                "seconds": None,
            },
        ],
        "georeference": {
            "latitude": 47.1,
            "longitude": 8.5,
            "altitude": 410.0,
            "rmsMetres": 0.35,
            "source": None,
            "datum": None,
            "system": "WGS 84 / UTM zone 32N",
        },
        "gpsRmsMetres": 0.35,
        "gaussians": 100_000,
        "psnr": 20.05,
        "psnrBeforeCompression": 20.1,
        "psnrSeen": 21.5,
        "seenShare": 0.8,
        "ssim": 0.58,
        "ssimBeforeCompression": 0.6,
        "inventedShare": 0.234,
        "heldOut": [
            {
                "name": "DJI <1>.JPG",
                "picture": "held_out/000001.jpg",
                "psnrBefore": 20.1,
                "ssimBefore": 0.6,
                "psnrSeen": 21.5,
            }
        ],
        "psnrAfter": 20.05,
        "ssimAfter": 0.59,
        "bytes": 1_400_000,
        "compressionRatio": 16.8,
        "score": 70,
        "noScore": None,
        "warnings": [],
    }
    assert [point["psnr"] for point in report["trainingCurve"]] == [21.0, 22.0]
    assert {"name": "scene.sog", "bytes": 1000} in report["files"]
    assert sum(part["points"] for part in report["scoreParts"]) == pytest.approx(report["score"], abs=0.5)


def test_the_report_page_is_self_contained_and_shows_what_the_json_holds(cloud: Cloud) -> None:
    invoke("deliver", with_pictures(cloud))
    answer = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")
    page = answer["Body"].read().decode()
    assert answer["ContentType"] == "text/html; charset=utf-8"
    sources = re.findall(r'(?:src|href)="([^"]{0,60})', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/") for source in sources)
    assert base64.b64encode(JPEG).decode() in page
    assert base64.b64encode(MAP).decode() in page
    assert base64.b64encode(OVERLAP).decode() in page
    for words in (
        "DJI &lt;1&gt;.JPG",
        "blurred &amp; dark",
        "of 100",
        "20.05 dB",
        "21.5 dB",
        "47.100000° N",
        "$0.0428",
        "1.4 MB",
    ):
        assert words in page, words
    assert "not photographed: 23 % of this picture" in page
    assert "s3://" not in page


def test_the_report_page_has_the_steps_names_that_the_customers_page_has(cloud: Cloud) -> None:
    invoke("deliver", with_pictures(cloud))
    page = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")["Body"].read().decode()
    steps = page.partition("<h2>Processing time and cost</h2>")[2].partition("</table>")[0]
    assert [re.findall(rf">{stage.spec.title}<", steps) for stage in Stage] == [
        [f">{stage.spec.title}<"] for stage in Stage
    ]
    words = re.sub(r"<style.*?</style>|<[^>]*>", " ", page, flags=re.S)
    assert re.findall(r"\b(sfm|3dgs|compressor)\b", words) == []


def test_a_report_leaves_out_synthetic_ground_that_was_not_counted(cloud: Cloud) -> None:
    invoke("deliver", after(cloud, *Stage))
    assert cloud.get_json(REPORT)["inventedShare"] is None
    answer = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")
    assert "not photographed" not in answer["Body"].read().decode()


def test_a_scene_whose_photos_know_no_altitude_is_delivered(cloud: Cloud) -> None:
    event = with_pictures(cloud)
    place = {"origin": {"latitude": 47.1, "longitude": 8.5, "altitude": None}, "rms_metres": 0.35}
    cloud.put(f"{output_of(Stage.SFM)}/georeference.json", json.dumps(place).encode())
    invoke("deliver", event)
    assert cloud.get_json(REPORT)["georeference"]["altitude"] is None
    answer = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")
    assert "47.100000° N, 8.500000° E." in answer["Body"].read().decode()


@pytest.mark.parametrize(
    ("source", "datum", "height", "error"),
    [
        ("GPS", "sea level", "410.0 m above sea level", "Average GPS error of the cameras: 0.35 m"),
        (
            "control points", "the ellipsoid",
            "height 410.0 m (height datum: the ellipsoid)", "Residual of the control points: 0.35 m",
        ),
    ],
)  # fmt: skip
def test_a_report_says_what_placed_the_scene(cloud: Cloud, source: str, datum: str, height: str, error: str) -> None:
    event = with_pictures(cloud)
    place = {**PLACE, "source": source, "heights": {"datum": datum, "epsg": None}}
    cloud.put(f"{output_of(Stage.SFM)}/georeference.json", json.dumps(place).encode())
    invoke("deliver", event)
    page = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")["Body"].read().decode()
    assert height in page
    assert error in page
    assert ("GPS error" in page) == (source == "GPS")


def test_no_address_goes_into_a_report_that_is_passed_on(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    event["options"]["email"] = "pilot@example.com"
    invoke("deliver", event)
    for name in ("report.html", "report.json"):
        body = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/{name}")["Body"].read().decode()
        assert "pilot@example.com" not in body


def test_a_page_without_figures_leaves_their_sections_out(cloud: Cloud) -> None:
    invoke("deliver", after(cloud, Stage.COMPRESSOR))
    page = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")["Body"].read().decode()
    assert "Processing time and cost" in page
    for absent in ("How the score is", "Camera positions", "Overlap", "Check photos", "Not used", "scene:"):
        assert absent not in page


def test_second_images_of_shots_have_a_table_of_their_own(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    reason = "is the thermal picture of a shot"
    seconds = [
        {"name": f"00000{n}.jpg", "original": f"<{n}>_T.JPG", "registered": False, "kind": "thermal", "reason": reason}
        for n in range(3, 6)
    ]
    twin = {
        "name": "000009.jpg",
        "original": "9.DNG",
        "registered": False,
        "kind": "twin",
        "reason": "same shot as 9.JPG",
    }
    cloud.put(f"{output_of(Stage.SFM)}/photos.json", json.dumps([*PHOTOS, *seconds, twin]).encode())
    invoke("deliver", event)
    page = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.html")["Body"].read().decode()
    assert f"3 × {reason}" in page
    assert "1 × is another file of a shot" in page
    assert "<td>DJI_2.JPG</td>" in page
    assert f"<td>{reason}</td>" not in page  # not in the list of photos that were left out
    assert "&lt;4&gt;_T.JPG" in page
    kinds = [line["kind"] for line in cloud.get_json(REPORT)["photoList"]]
    assert kinds == [None, None, "thermal", "thermal", "thermal", "twin"]


def test_the_report_tells_of_a_misspelt_setting(cloud: Cloud) -> None:
    remark = "traningsteps was ignored: did you mean trainingSteps?"
    invoke("deliver", after(cloud, *Stage) | {"remarks": [remark]})
    (warning,) = cloud.get_json(REPORT)["warnings"]
    assert (warning["code"], warning["message"]) == ("UNKNOWN_SETTING", remark)


def test_the_report_has_every_warning_of_every_stage(cloud: Cloud) -> None:
    blurred: dict[str, Any] = {"code": "PHOTOS_BLURRED", "message": "3 photos are blurred", "names": ["ü.jpg"]}
    flat: dict[str, Any] = {"code": "OUTLIER_GAUSSIANS", "message": "no photo has a position", "names": []}
    invoke("deliver", after(cloud, *Stage, warnings={Stage.SFM: [blurred], Stage.COMPRESSOR: [flat]}))
    reported = cloud.get_json(REPORT)["warnings"]
    assert [{name: warning[name] for name in ("code", "message", "names")} for warning in reported] == [blurred, flat]
    assert [warning["hint"] for warning in reported] == [WARNINGS[WarningCode(w["code"])].hint for w in (blurred, flat)]
    page = cloud.get(PAGE).decode()
    assert WARNINGS[WarningCode.PHOTOS_BLURRED].sentence in page
    assert blurred["message"] in page
    assert "PHOTOS_BLURRED" not in page, "a code is for programs"
    assert WARNINGS[WarningCode.OUTLIER_GAUSSIANS].sentence not in page, "there is nothing to do about it"


def test_delivering_again_writes_the_same_report_and_gives_the_same_answer(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    first, report = invoke("deliver", event), cloud.get_json(REPORT)
    assert (invoke("deliver", event), cloud.get_json(REPORT)) == (first, report)


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("psnrSeenFitted", "There are no check photos"),
        ("gmsd", "agree on too little"),
        ("contrastOffPath", "agree on too little"),
        ("seen", "agree on too little"),
    ],
)
def test_without_one_of_its_figures_there_is_no_score_and_the_report_says_why(
    cloud: Cloud, missing: str, why: str
) -> None:
    event = after(cloud, *Stage)
    trained = event["stages"]["training"]
    cloud.put_result(output_of(Stage.TRAINING), counts=trained["counts"], metrics=trained["metrics"] | {missing: None})
    assert "score" not in invoke("deliver", event)["metrics"]
    pages = [cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.{kind}") for kind in ("json", "html")]
    report, page = (answer["Body"].read().decode() for answer in pages)
    assert why in json.loads(report)["noScore"]
    assert "<h2>No score</h2>" in page
    assert why in page


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_hold_the_range_between_them(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 8
    assert found[0] <= low + 1e-6 * span + 1e-9 * abs(low)
    assert found[-1] >= low + span - 1e-6 * span - 1e-9 * abs(low)


def test_the_report_is_written_for_people_to_read(cloud: Cloud) -> None:
    event = after(cloud, *Stage)
    event["name"] = "Große Wiese"
    invoke("deliver", event)
    answer = cloud.s3.get_object(Bucket=RESULTS, Key=f"jobs/{JOB_ID}/report.json")
    body = answer["Body"].read().decode()
    assert "Große Wiese" in body
    assert body == json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    assert answer["ContentType"] == "application/json"
