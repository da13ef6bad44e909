"""The quality report: what it states about good and bad flights, and that both files can be read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from contract.branding import LOGO_UNUSED
from products.letterhead import Letterhead
from products.make import Options, write_report
from products.quality import CHECKED, NOT_CADASTRAL, Evidence, Report
from products.quality import report as report_of
from products.quality_files import write_html, write_pdf
from stage import __version__

ACCURACY = {
    "count": 10,
    "mean_metres": [0.001, -0.002, 0.003],
    "sigma_metres": [0.004, 0.005, 0.012],
    "rms_metres": [0.004, 0.005, 0.012],
    "ce90_metres": 0.0097,
    "le90_metres": 0.0197,
}
SURVEY: dict[str, Any] = {
    "version": 1,
    "gsd_metres": 0.032,
    "flight_height_metres": 36.2,
    "area_square_metres": {"seen": 5400.0, "seen_by_three": 4100.0},
    "captured": {"first": "2026:05:04 10:00:00", "last": "2026:05:04 10:07:12"},
    "cameras": [
        {
            "make": "DJI", "model": "FC300S", "photos": 20, "width": 1600, "height": 1200, "kind": "SIMPLE_RADIAL",
            "initial_focal_pixels": 1130.0, "focal_pixels": 1132.5,
            "parameters": {"f": 1132.5, "cx": 800.0, "cy": 600.0, "k": 0.001},
        }
    ],
    "reprojection_pixels": {"mean": 0.2, "rms": 0.28, "bin": 0.1, "counts": [500, 300, 100, *[10] * 17]},
    "observations_median": 2900,
    "systematic_pixels": 0.04,
    "track_lengths": [{"photos": 2, "points": 200}, {"photos": 3, "points": 100}, {"photos": 4, "points": 0}],
    "gps": {**ACCURACY, "rms_metres": [0.3, 0.3, None], "le90_metres": None},
    "control": ACCURACY,
    "check": ACCURACY,
}  # fmt: skip
POINTS = [
    {
        "name": name, "residual_metres": 0.01, "offset_metres": [0.004, -0.005, 0.012], "pixels": 0.4, "photos": 6,
        "used": not check, "check": check,
    }
    for name, check in (("C1", False), ("K1_check", True))
]  # fmt: skip
GEOREFERENCE: dict[str, Any] = {
    "georeferenced": True,
    "source": "control points",
    "projected": {"epsg": 25832, "name": "ETRS89 / UTM zone 32N"},
    "heights": {"datum": "that of the control points", "epsg": None},
    "control_points": POINTS,
}
PRODUCTS = {
    "system": {"epsg": 25832, "name": "ETRS89 / UTM zone 32N"},
    "map": {"cell": 0.032, "width": 1500, "height": 1300, "areaSquareMetres": 1800.0},
    "surface": {"sigmaMedian": 0.025, "sigma90": 0.05, "lowest": 465.1, "highest": 477.0},
    "points": {"count": 200_000, "photosMedian": 5.0, "sigmaMedian": 0.04},
    "missing": {},
}


def evidence(**changes: Any) -> Evidence:
    photos = [{"name": f"{n}.jpg", "registered": True, "features": 4000 + n} for n in range(20)]
    good = Evidence(
        name="Hof & Söhne <Süd>",
        photos=photos,
        survey=SURVEY,
        georeference=GEOREFERENCE,
        cameras_result={
            "counts": {"points": 300}, "metrics": {"overlapShare": 0.9}, "timings": {"features": 12.3},
            "resources": {"wallSeconds": 30, "cpuSeconds": 51.0, "peakMemoryBytes": 1_800_000_000},
        },
        training_result={
            "timings": {"train": 150.0},
            "resources": {"wallSeconds": 160, "cpuSeconds": 170.0, "peakMemoryBytes": 900_000_000},
        },
        products=PRODUCTS,
        asked=Options(epsg=25832).in_words(),
    )  # fmt: skip
    return replace(good, **changes)


def report(given: Evidence) -> Report:
    return report_of(given, date(2026, 5, 11))


def verdicts(found: Report) -> dict[str, str]:
    return {check.name: check.verdict.value for check in found.checks}


def rows(found: Report, title: str) -> list[tuple[str, ...]]:
    return [row for section in found.sections if section.title == title for row in section.rows]


def test_a_good_flight_is_good_throughout_and_its_accuracy_is_that_of_the_check_points() -> None:
    found = report(evidence())
    assert set(verdicts(found).values()) == {"good"}
    assert found.notice == CHECKED
    (accuracy,) = [check for check in found.checks if check.name == "Accuracy"]
    assert accuracy.found == "0.6 cm in plan, 1.2 cm in height"
    assert ("K1_check", "check", "0.004", "-0.005", "0.012", "0.40", "6") in rows(found, "Control and check points")
    assert ("Camera positions minus GPS, RMS", "10", "0.300", "0.300", "–") in rows(found, "Accuracy of positions")
    system = rows(found, "Coordinate system")
    assert ("Plan", "ETRS89 / UTM zone 32N (EPSG:25832)") in system
    assert "Accuracy of the transformation" not in {row[0] for row in system}


def test_what_a_missing_grid_leaves_uncertain_is_said() -> None:
    changed = {"epsg": 27700, "name": "OSGB36 / British National Grid", "uncertain": "places are uncertain by 2 m"}
    found = report(evidence(products={**PRODUCTS, "system": changed}))
    assert ("Accuracy of the transformation", "places are uncertain by 2 m") in rows(found, "Coordinate system")


@pytest.mark.parametrize(
    ("changes", "name", "verdict"),
    [
        ({"photos": [{"registered": n < 14, "features": 9} for n in range(20)]}, "Photos placed", "fair"),
        ({"photos": [{"registered": n < 9, "features": 9} for n in range(20)]}, "Photos placed", "poor"),
        ({"survey": {**SURVEY, "observations_median": 300}}, "Tie points in a photo, median", "fair"),
        ({"survey": {**SURVEY, "observations_median": 99}}, "Tie points in a photo, median", "poor"),
        ({"survey": {**SURVEY, "check": None}}, "Accuracy", "fair"),
        ({"georeference": {"georeferenced": False}, "survey": {**SURVEY, "check": None}}, "Accuracy", "poor"),
        ({"survey": {**SURVEY, "check": {**ACCURACY, "rms_metres": [0.02, 0.02, 0.1]}}}, "Accuracy", "fair"),
        ({"survey": {**SURVEY, "check": {**ACCURACY, "rms_metres": [0.02, 0.02, 0.3]}}}, "Accuracy", "poor"),
        (
            {"survey": {**SURVEY, "cameras": [{**SURVEY["cameras"][0], "focal_pixels": 1250.0}]}},
            "Change of focal length", "poor",
        ),
    ],
)  # fmt: skip
def test_what_is_not_good_is_said(changes: dict[str, Any], name: str, verdict: str) -> None:
    assert verdicts(report(evidence(**changes)))[name] == verdict


def test_software_options_steps_and_machine_are_stated() -> None:
    found = rows(report(evidence()), "Processing")
    assert ("Software", f"Spaceport {__version__}") in found
    assert ("Coordinate system", "EPSG:25832") in found
    assert ("Cells of the maps", "the photos' own resolution") in found
    assert ("Structure from motion", "30 s; 51 CPU seconds; memory 1.8 GB at most") in found
    assert ("  features", "12.3 s") in found
    assert ("  train", "150.0 s") in found


def test_surface_and_cloud_have_resolution_density_and_a_picture(tmp_path: Path) -> None:
    found = report(evidence(pictures={name: tmp_path / name for name in ("orthophoto", "cameras", "hillshade")}))
    products = rows(found, "Products")
    assert ("Surface model", "cells of 3.2 cm, as the orthophoto's") in products
    assert ("Point density", "111 per m² of the maps") in products
    shown = {section.title: [path.name for path, _ in section.pictures] for section in found.sections}
    assert shown["Flight"] == ["orthophoto", "cameras"]
    assert shown["Products"] == ["hillshade"]


def test_what_the_lens_model_leaves_is_stated() -> None:
    found = rows(report(evidence()), "Bundle adjustment")
    assert ("Mean residual in the worst of 16 × 12 parts of the photos", "0.04 px") in found


def test_a_survey_of_an_older_job_has_a_report() -> None:
    later = ("observations_median", "systematic_pixels")
    older = {name: value for name, value in SURVEY.items() if name not in later}
    assert "Tie points in a photo, median" not in verdicts(report(evidence(survey=older)))


def test_without_check_points_it_is_not_for_cadastral_use() -> None:
    assert report(evidence(survey={**SURVEY, "check": None})).notice == NOT_CADASTRAL


def test_what_is_missing_is_listed_with_its_reason() -> None:
    products = {**PRODUCTS, "missing": {"surface model": "the quality preview is too coarse"}}
    assert ("Missing: surface model", "the quality preview is too coarse") in rows(
        report(evidence(products=products)), "Products"
    )


def test_both_files_are_whole_and_a_name_is_no_markup(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (3000, 2000), "green").save(picture)
    found = report(evidence(pictures={"orthophoto": picture}))
    write_html(tmp_path / "quality.html", found)
    write_pdf(tmp_path / "quality.pdf", found)
    page = (tmp_path / "quality.html").read_text()
    assert "Hof &amp; Söhne &lt;Süd&gt;" in page
    assert "<Süd>" not in page
    assert page.count("data:image/jpeg;base64,") == 1
    content = (tmp_path / "quality.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") >= 2
    assert b"/DCTDecode" in content


def test_project_customer_site_and_dates_stand_under_the_title_as_far_as_they_are_known() -> None:
    dates = [("Date of flight", "4 May 2026"), ("Date of report", "11 May 2026")]
    assert report(evidence()).facts == dates
    given = Letterhead(project="Bridge 7", customer="City of Ulm", site="Mill Lane 4")
    assert report(evidence(letterhead=given)).facts == [
        ("Project", "Bridge 7"), ("Customer", "City of Ulm"), ("Site", "Mill Lane 4"), *dates,
    ]  # fmt: skip
    assert report(evidence(survey={**SURVEY, "captured": None})).facts == dates[1:]
    odd = {"first": "0000:00:00 00:00:00", "last": ""}
    assert report(evidence(survey={**SURVEY, "captured": odd})).facts[0] == ("Date of flight", "0000:00:00 00:00:00")


def test_a_report_is_written_where_there_are_figures_for_one(tmp_path: Path) -> None:
    model, cameras, output = (tmp_path / name for name in ("model", "cameras", "output"))
    for folder in (model, cameras, output):
        folder.mkdir()
    (output / "products.json").write_text(json.dumps({"version": 1, "files": [], **PRODUCTS}))
    write_report(Options("a"), model, cameras, output)
    assert not (output / "quality.pdf").exists()
    good = evidence()
    (cameras / "survey.json").write_text(json.dumps(SURVEY))
    thermal = {"name": "20.jpg", "registered": False, "kind": "thermal"}  # no photo of its own
    (cameras / "photos.json").write_text(json.dumps([*good.photos, thermal]))
    (cameras / "result.json").write_text(json.dumps(good.cameras_result))
    (model / "georeference.json").write_text(json.dumps(GEOREFERENCE))
    (model / "result.json").write_text(json.dumps(good.training_result))
    write_report(Options("a"), model, cameras, output)
    assert json.loads((output / "products.json").read_text())["files"] == ["quality.html", "quality.pdf"]
    assert (output / "quality.pdf").stat().st_size > 3000
    assert "20, of which 20 placed" in (output / "quality.html").read_text(encoding="utf-8")
    unused = tmp_path / "logo"
    write_report(Options("a", letterhead=Letterhead(project="Bridge 7", logo=unused)), model, cameras, output)
    assert json.loads((output / "products.json").read_text())[LOGO_UNUSED] == "there is no such file, or it is empty"
    page = (output / "quality.html").read_text(encoding="utf-8")
    assert "<td>Bridge 7</td>" in page
    assert "data:image/png" not in page
