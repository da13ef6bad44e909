"""Compile the content of a survey's quality report as plain values: checks with their thresholds, tables and pictures.

The fields are those that the reports of photogrammetry packages have, as far as the pipeline has the data. The
thresholds for photos and focal length are those that PIX4D publishes for its own report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from products.letterhead import Letterhead
from splat.files import read_document
from stage import __version__


class Verdict(StrEnum):
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"


@dataclass(frozen=True)
class Check:
    """One line of the summary: the value found, and the value needed for `GOOD`."""

    name: str
    found: str
    wanted: str
    verdict: Verdict


@dataclass(frozen=True)
class Section:
    """A heading, a text, a table (`header` may be empty) and pictures with captions."""

    title: str
    text: str = ""
    header: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    pictures: Sequence[tuple[Path, str]] = ()


@dataclass(frozen=True)
class Report:
    """The whole report. `facts`: names and values shown under the title; `logo`: a PNG."""

    title: str
    facts: Sequence[tuple[str, str]]
    company: str
    address: str
    logo: bytes | None
    checks: Sequence[Check]
    sections: Sequence[Section]
    notice: str


@dataclass(frozen=True)
class Evidence:
    """What the stages left behind: the contents of their JSON files, and the pictures that exist. `photos`: without the
    second images of shots, which are no photos of their own."""

    name: str
    photos: Sequence[Mapping[str, Any]]
    survey: Mapping[str, Any]
    georeference: Mapping[str, Any]
    cameras_result: Mapping[str, Any]
    training_result: Mapping[str, Any]
    products: Mapping[str, Any]
    pictures: Mapping[str, Path] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)  # the customer's options, in words
    letterhead: Letterhead = field(default_factory=Letterhead)


NOT_CADASTRAL = (
    "Not for cadastral or legal use: no check points show how accurate the positions are. Heights and distances are as "
    "good as the photos' GPS, unless control points are listed."
)
CHECKED = "The accuracy stated is that of the check points listed, which no adjustment has used."


def read_evidence(
    name: str, asked: Mapping[str, str], letterhead: Letterhead, model: Path, cameras: Path, output: Path
) -> Evidence | None:
    """Read the outputs of training (`model`) and structure from motion (`cameras`) and the products made so far in
    `output`; None without survey.json.
    """
    if not (cameras / "survey.json").is_file():
        return None

    pictures = {
        "orthophoto": output / "orthophoto.jpg",
        "hillshade": output / "hillshade.jpg",
        "cameras": cameras / "cameras.png",
        "overlap": cameras / "overlap.png",
    }
    return Evidence(
        name=name,
        photos=[photo for photo in read_document(cameras / "photos.json") if "kind" not in photo],
        survey=read_document(cameras / "survey.json"),
        georeference=read_document(model / "georeference.json"),
        cameras_result=read_document(cameras / "result.json"),
        training_result=read_document(model / "result.json"),
        products=read_document(output / "products.json"),
        pictures={key: path for key, path in pictures.items() if path.is_file()},
        asked=asked,
        letterhead=letterhead,
    )


def report(evidence: Evidence, today: date, logo: bytes | None = None) -> Report:
    """The whole report, dated `today`; `logo` is a PNG."""
    return Report(
        title=evidence.name,
        facts=evidence.letterhead.facts(evidence.survey["captured"], today),
        company=evidence.letterhead.company,
        address=evidence.letterhead.address,
        logo=logo,
        checks=_checks(evidence),
        sections=[
            _flight(evidence),
            _system(evidence),
            _positions(evidence),
            _points(evidence),
            _cameras(evidence),
            _adjustment(evidence),
            _maps(evidence),
            _processing(evidence),
        ],
        notice=CHECKED if evidence.survey["check"] else NOT_CADASTRAL,
    )


def _checks(evidence: Evidence) -> list[Check]:
    placed = sum(bool(photo["registered"]) for photo in evidence.photos)
    share = placed / max(len(evidence.photos), 1)
    found = [
        Check(
            "Photos placed", f"{placed} of {len(evidence.photos)}", "over 95 %",
            _verdict(share > 0.95, share >= 0.65),
        )
    ]  # fmt: skip
    changes = [
        abs(camera["focal_pixels"] / camera["initial_focal_pixels"] - 1)
        for camera in evidence.survey["cameras"]
        if camera["initial_focal_pixels"]
    ]
    if changes:
        worst = max(changes)
        found.append(
            Check(
                "Change of focal length", f"{worst:.1%}", "under 1 % of the photos' own",
                _verdict(worst < 0.01, worst < 0.05),
            )
        )  # fmt: skip
    error = evidence.survey["reprojection_pixels"]["mean"]
    found.append(
        Check("Reprojection error, mean", f"{error:.2f} px", "under 1 px", _verdict(error < 1, error < 2))
    )  # fmt: skip
    tied = evidence.survey.get("observations_median")  # absent from older jobs
    if tied is not None:
        found.append(
            Check(
                "Tie points in a photo, median", f"{tied:,.0f}", "over 1,000", _verdict(tied > 1000, tied >= 100)
            )
        )  # fmt: skip
    overlap = evidence.cameras_result["metrics"].get("overlapShare")
    if overlap is not None:
        found.append(
            Check(
                "Ground in three photos or more", f"{overlap:.0%}", "over 80 %", _verdict(overlap > 0.8, overlap > 0.5)
            )
        )  # fmt: skip
    found.append(_accuracy_check(evidence))
    return found


def _accuracy_check(evidence: Evidence) -> Check:
    """Compare check points with one ground sampling distance in plan and two in height; without any, never good."""
    gsd, check = evidence.survey["gsd_metres"], evidence.survey["check"]
    wanted = "check points: 1 GSD in plan, 2 in height"
    if check and gsd:
        east, north, up = check["rms_metres"]
        plan = (east * east + north * north) ** 0.5
        good, fair = plan <= gsd and up <= 2 * gsd, plan <= 3 * gsd and up <= 6 * gsd
        return Check("Accuracy", f"{_cm(plan)} in plan, {_cm(up)} in height", wanted, _verdict(good, fair))
    if evidence.georeference["georeferenced"]:
        source = evidence.georeference.get("source") or "GPS"
        return Check("Accuracy", f"by {source} alone, not checked", wanted, Verdict.FAIR)
    return Check("Accuracy", "the scene is not georeferenced", wanted, Verdict.POOR)


def _verdict(good: bool, fair: bool) -> Verdict:
    return Verdict.GOOD if good else Verdict.FAIR if fair else Verdict.POOR


def _flight(evidence: Evidence) -> Section:
    survey = evidence.survey
    captured, area = survey["captured"], survey["area_square_metres"]
    placed = sum(bool(photo["registered"]) for photo in evidence.photos)
    rows = [
        ("Captured", f"{captured['first']} to {captured['last']}, by the camera's clock" if captured else "not known"),
        ("Photos", f"{len(evidence.photos)}, of which {placed} placed"),
    ]
    if survey["gsd_metres"]:
        rows += [
            ("Ground sampling distance", _cm(survey["gsd_metres"])),
            ("Flight height above ground", f"{survey['flight_height_metres']:.1f} m"),
        ]
    if area:
        rows.append(("Area", f"{area['seen_by_three']:,.0f} m² in three photos or more, {area['seen']:,.0f} m² in one"))
    captions = {
        "orthophoto": "Orthophoto",
        "cameras": "Cameras and tie points from above",
        "overlap": "Photos that see the ground",
    }
    return Section("Flight", rows=rows, pictures=_pictures(evidence, captions))


def _pictures(evidence: Evidence, captions: Mapping[str, str]) -> list[tuple[Path, str]]:
    """The pictures that exist, with their captions."""
    return [(evidence.pictures[name], caption) for name, caption in captions.items() if name in evidence.pictures]


def _system(evidence: Evidence) -> Section:
    if not evidence.georeference["georeferenced"]:
        return Section(
            "Coordinate system", text=f"None: {evidence.georeference.get('reason') or 'no position is known'}."
        )
    system = evidence.products.get("system") or evidence.georeference.get("projected") or {}
    heights = evidence.georeference.get("heights") or {}
    code = f"EPSG:{system['epsg']}" if system.get("epsg") else "without a code"
    rows = [
        ("Plan", f"{system.get('name', 'not known')} ({code})"),
        (
            "Heights",
            str(heights.get("datum", "not known")) + (f" (EPSG:{heights['epsg']})" if heights.get("epsg") else ""),
        ),
        ("Placed by", str(evidence.georeference.get("source") or "not known")),
    ]
    if system.get("uncertain"):
        rows.append(("Accuracy of the transformation", str(system["uncertain"])))
    text = "Heights are in metres above the datum given; they were not converted to another datum."
    return Section("Coordinate system", text, rows=rows)


def _positions(evidence: Evidence) -> Section:
    rows = []
    for name, key in (
        ("Camera positions minus GPS", "gps"),
        ("Control points, fitted", "control"),
        ("Check points", "check"),
    ):
        found = evidence.survey[key]
        if found:
            for title, values in (("mean", "mean_metres"), ("σ", "sigma_metres"), ("RMS", "rms_metres")):
                rows.append((f"{name}, {title}", str(found["count"]), *(_m(value) for value in found[values])))
            ends = (f"CE90 {_m(found['ce90_metres'])}", "", f"LE90 {_m(found['le90_metres'])}")
            rows.append((f"{name}, 90 %", "", *ends))
    if not rows:
        return Section("Accuracy of positions", text="No photo has a position, and there are no control points.")
    return Section("Accuracy of positions", "Metres.", ("", "number", "east", "north", "up"), rows)


def _points(evidence: Evidence) -> Section:
    points = evidence.georeference.get("control_points") or []
    if not points:
        return Section("Control and check points", text="None were given.")
    rows = [
        (
            point["name"], "check" if point["check"] else "control" if point["used"] else "not used",
            *(_m(value) for value in point["offset_metres"]), f"{point['pixels']:.2f}", str(point["photos"]),
        )
        for point in points
    ]  # fmt: skip
    return Section(
        "Control and check points",
        "Model minus survey in metres; the root mean square distance of the marks in pixels; photos that are marked.",
        ("", "role", "east", "north", "up", "px", "photos"),
        rows,
    )


def _cameras(evidence: Evidence) -> Section:
    rows = []
    for camera in evidence.survey["cameras"]:
        name = f"{camera['make']} {camera['model']}".strip() or "camera"
        initial = camera["initial_focal_pixels"]
        rows.append((f"{name}, {camera['width']} × {camera['height']} px, {camera['photos']} photos", "", ""))
        change = f"{camera['focal_pixels'] / initial - 1:+.2%}" if initial else ""
        rows.append(
            (
                "focal length, px",
                f"{initial:.1f}" if initial else "not known",
                f"{camera['focal_pixels']:.1f} ({change})",
            )
        )
        others = [f"{key} {value:.5g}" for key, value in camera["parameters"].items() if not key.startswith("f")]
        rows.append((f"{camera['kind']}", "", ", ".join(others)))
    return Section("Cameras", header=("", "from the photos", "found"), rows=rows)


def _adjustment(evidence: Evidence) -> Section:
    survey, counts = evidence.survey, evidence.cameras_result["counts"]
    error = survey["reprojection_pixels"]
    features = sorted(photo["features"] for photo in evidence.photos if "features" in photo)
    rows = [
        ("Tie points", f"{counts['points']:,}"),
        ("Observations", f"{sum(error['counts']):,}"),
        ("Keypoints of a photo, median", f"{features[len(features) // 2]:,}" if features else "none"),
        ("Reprojection error", f"mean {error['mean']:.3f} px, RMS {error['rms']:.3f} px"),
    ]
    if survey.get("systematic_pixels") is not None:  # absent from older jobs
        title = "Mean residual in the worst of 16 × 12 parts of the photos"
        rows.append((title, f"{survey['systematic_pixels']:.2f} px"))
    worse = 0
    for index, count in enumerate(error["counts"]):
        if index < 10:
            low = index * error["bin"]
            rows.append((f"  {low:.1f} to {low + error['bin']:.1f} px", f"{count:,}"))
        else:
            worse += count
    rows.append((f"  over {10 * error['bin']:.1f} px", f"{worse:,}"))
    rows += [
        (f"Points in {row['photos']} photos", f"{row['points']:,}") for row in survey["track_lengths"] if row["points"]
    ]
    return Section("Bundle adjustment", rows=rows)


def _maps(evidence: Evidence) -> Section:
    products = evidence.products
    rows = []
    if "map" in products:
        made = products["map"]
        rows.append(("Orthophoto", f"{made['width']:,} × {made['height']:,} cells of {_cm(made['cell'])}"))
        rows.append(("Area of the maps", f"{made['areaSquareMetres']:,.0f} m²"))
    if "surface" in products:
        made = products["surface"]
        rows.append(("Surface model", f"cells of {_cm(products['map']['cell'])}, as the orthophoto's"))
        rows.append(
            ("Surface model, σ of a height", f"median {_cm(made['sigmaMedian'])}, 90 % under {_cm(made['sigma90'])}")
        )
        rows.append(("Heights", f"{made['lowest']:.2f} to {made['highest']:.2f} m"))
    if "points" in products:
        made = products["points"]
        rows.append(
            ("Point cloud", f"{made['count']:,} points, on which {made['photosMedian']:.0f} photos agree, median")
        )
        rows.append(("σ of a point along its ray", f"median {_cm(made['sigmaMedian'])}"))
        area = products.get("map", {}).get("areaSquareMetres")
        if area:
            rows.append(("Point density", f"{made['count'] / area:,.0f} per m² of the maps"))
    rows += [(f"Missing: {name}", str(reason)) for name, reason in products.get("missing", {}).items()]
    return Section("Products", rows=rows, pictures=_pictures(evidence, {"hillshade": "Surface model, hillshade"}))


def _processing(evidence: Evidence) -> Section:
    """Software, options, and the time and memory that each step took."""
    rows = [("Software", f"Spaceport {__version__}"), *evidence.asked.items()]
    for title, result in (("Structure from motion", evidence.cameras_result), ("Training", evidence.training_result)):
        if "resources" not in result:
            continue
        took = result["resources"]
        rows.append(
            (
                title,
                f"{took['wallSeconds']:,.0f} s; {took['cpuSeconds']:,.0f} CPU seconds; "
                f"memory {took['peakMemoryBytes'] / 1e9:.1f} GB at most",
            )
        )
        rows += [(f"  {name}", f"{seconds:,.1f} s") for name, seconds in result["timings"].items()]
    return Section("Processing", rows=rows)


def _cm(metres: float) -> str:
    return f"{100 * metres:.1f} cm"


def _m(metres: float | None) -> str:
    return "–" if metres is None else f"{metres:.3f}"
