"""Render report.html: the report as one self-contained page, pictures included. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template

from contract.shots import Kind
from contract.stages import Stage
from contract.warning_codes import NOTHING_TO_DO
from deliver.chart import bar, line_chart
from deliver.films import films_section
from deliver.report import Georeference, PhotoLine, Report
from deliver.verdict import Verdict

TEMPLATE = Path(__file__).parent / "templates" / "report.html"


@dataclass(frozen=True)
class Pictures:
    """The pictures as bytes: the scene (JPEG), the maps of cameras and overlap (PNG), and, by the photo's name, pairs
    of a photo and its render (JPEG).
    """

    poster: bytes | None = None
    cameras: bytes | None = None
    overlap: bytes | None = None
    pairs: dict[str, bytes] = field(default_factory=dict)


def render(report: Report, verdict: Verdict | None, pictures: Pictures, prices: str) -> str:
    """The page's HTML; sections without figures are left out. `prices`: the source of the prices behind the costs."""
    parts = [
        _score(report),
        _photos(report),
        _films(report),
        _camera_map(report, pictures.cameras),
        _overlap_map(pictures.overlap),
        _held_out(report, pictures.pairs),
        _training(report),
        _stages(report, prices),
        _files(report),
        _warnings(report),
    ]
    name = escape(report.name)
    poster = "" if pictures.poster is None else _image(pictures.poster, "jpeg", f"The scene {report.name}")
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=name,
        poster=poster,
        verdict=_verdict(verdict),
        drawn=_drawn(report),
        subtitle=f"Uploaded {report.uploaded_at:%d %B %Y, %H:%M} UTC · quality {escape(report.options.quality)}",
        figures="".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in _headline(report)),
        sections="\n".join(part for part in parts if part),
        job_id=escape(report.job_id),
    )


def _drawn(report: Report) -> str:
    """A note about the part of the scene's picture that no photo shows."""
    if report.invented_share is None:
        return ""
    share = "less than 1" if report.invented_share < 0.01 else f"{100 * report.invented_share:.0f}"
    return (
        '<p class="soft">Sky and ground beyond the photos are drawn in the photos\' colours, not photographed: '
        f"{share} % of this picture.</p>"
    )


def _headline(report: Report) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if report.score is not None:
        found.append(("Score", f"{report.score} of 100"))
    if report.photos is not None and report.registered is not None:
        found.append(("Photos used", f"{report.registered} of {report.photos}"))
    if report.psnr is not None:
        found.append(("Match to your photos", f"{report.psnr:.1f} dB"))
    if report.gaussians is not None:
        found.append(("Gaussians", f"{report.gaussians:,}"))
    if report.bytes is not None:
        found.append(("Compressed", megabytes(report.bytes)))
    return found


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return f'<p class="verdict {verdict.grade}"><b>{escape(verdict.sentence)}</b> {escape(verdict.why)}</p>'


def _score(report: Report) -> str:
    if report.no_score:
        return _section("No score", f"<p>{escape(report.no_score)}</p>")
    if not report.score_parts:
        return ""
    rows = "".join(
        f"<tr><td>{escape(part.name)}{bar(part.points / part.most, f'{part.points:g} of {part.most}')}</td>"
        f'<td class="soft">{escape(part.why)}</td><td class="number">{part.points:.1f} of {part.most}</td></tr>'
        for part in report.score_parts
    )
    total = f'<tfoot><tr><td>Score</td><td></td><td class="number">{report.score} of 100</td></tr></tfoot>'
    return _section("How the score is calculated", f"<table><tbody>{rows}</tbody>{total}</table>")


def _photos(report: Report) -> str:
    if report.photos is None:
        return ""
    refused = [photo for photo in report.photo_list if not photo.used and photo.kind is None]
    used = [photo for photo in report.photo_list if photo.used]
    body = f"<p>{report.registered} of {report.photos} photos were aligned.</p>"
    if refused:
        rows = "".join(f"<tr><td>{escape(p.name)}</td><td>{escape(p.reason or '')}</td></tr>" for p in refused)
        body += f"<table><thead><tr><th>Not used</th><th>Why</th></tr></thead><tbody>{rows}</tbody></table>"
    body += _second_images([photo for photo in report.photo_list if photo.kind is not None])
    if used:
        body += f"<details><summary>The {len(used)} photos used</summary>{_names(used)}</details>"
    return _section("Photos", body)


def _films(report: Report) -> str:
    """Which seconds of the films are in the scene."""
    body = films_section(report.photo_list)
    return _section("The film", body) if body else ""


def _second_images(pictures: list[PhotoLine]) -> str:
    """Other files that cameras and tools stored of the same shots, grouped by the reason why they do not count."""
    if not pictures:
        return ""
    reasons: dict[str, list[PhotoLine]] = {}
    for picture in pictures:
        same = "" if picture.kind is Kind.TWIN else picture.reason or ""
        reasons.setdefault(same or "is another file of a shot", []).append(picture)
    rows = "".join(
        f"<tr><td><details><summary>{len(some)} × {escape(reason)}</summary>{_names(some)}</details></td></tr>"
        for reason, some in reasons.items()
    )
    return f"<table><thead><tr><th>Second images, not counted</th></tr></thead><tbody>{rows}</tbody></table>"


def _names(photos: list[PhotoLine]) -> str:
    return '<ul class="names">' + "".join(f"<li>{escape(photo.name)}</li>" for photo in photos) + "</ul>"


def _camera_map(report: Report, cameras: bytes | None) -> str:
    if cameras is None:
        return ""
    place = report.georeference
    if place is None:
        note = "<p>The photos carry no usable GPS: the map has no scale, and its top is not necessarily north.</p>"
    else:
        of = "Residual of the control points" if place.by_control_points else "Average GPS error of the cameras"
        rms = "" if place.rms_metres is None else f" {of}: {place.rms_metres:.2f} m (RMS)."
        height = "" if place.altitude is None else f", {_height(place.altitude, place)}"
        note = f"<p>North is up. Coordinates are in metres from {_position(place)}{height}.{rms}</p>"
    return _section("Camera positions", note + _image(cameras, "png", "Cameras and points from above", "map"))


def _height(metres: float, place: Georeference) -> str:
    """The height above what it was measured from: GPS in photos counts from sea level, a survey from its own datum."""
    if not place.by_control_points:
        return f"{metres:.1f} m above sea level"
    datum = f" (height datum: {escape(place.datum)})" if place.datum else ""
    return f"height {metres:.1f} m{datum}"


def _position(place: Georeference) -> str:
    """Latitude and longitude as people write them: 47.360000° N, 8.530000° E."""
    south_north = "N" if place.latitude >= 0 else "S"
    west_east = "E" if place.longitude >= 0 else "W"
    return f"{abs(place.latitude):.6f}° {south_north}, {abs(place.longitude):.6f}° {west_east}"


def _overlap_map(overlap: bytes | None) -> str:
    if overlap is None:
        return ""
    note = "<p>The map shows how many photos see each part of the ground. Red and orange parts need more photos.</p>"
    return _section("Overlap", note + _image(overlap, "png", "Photos that show each part of the ground", "map"))


def _held_out(report: Report, pairs: dict[str, bytes]) -> str:
    if not report.held_out:
        return ""
    note = (
        "<p>Every 8th photo was a check photo: the scene was first trained without it and then compared with it, in "
        "decibels (PSNR: higher is better, 30 is very good) and by structural similarity (SSIM, at most 1). The "
        "figures are from this comparison. The delivered scene was then trained on these photos too, and the pictures "
        "show the delivered scene.</p>"
    )
    if report.psnr_seen is not None and report.seen_share is not None:
        note += (
            f"<p>{report.psnr_seen:.1f} dB where at least three of the other photos see the place "
            f"({report.seen_share:.0%} of the check photos), at equal exposure.</p>"
        )
    rows = "".join(
        f'<tr><td>{escape(view.name)}</td><td class="number">{view.psnr_before:.2f} dB</td>'
        f'<td class="number">{view.psnr_after:.2f} dB</td><td class="number">{view.ssim_before:.3f}</td>'
        f'<td class="number">{view.ssim_after:.3f}</td></tr>'
        for view in report.held_out
    )
    means = (report.psnr_before_compression, report.psnr, report.ssim_before_compression, report.ssim)
    formats = ("{:.2f} dB", "{:.2f} dB", "{:.3f}", "{:.3f}")
    foot = "".join(
        f'<td class="number">{"–" if mean is None else form.format(mean)}</td>'
        for mean, form in zip(means, formats, strict=True)
    )
    heads = ("PSNR", "compressed", "SSIM", "compressed")
    head = "".join(f'<th class="number">{text}</th>' for text in heads)
    table = (
        f'<div class="scroll"><table><thead><tr><th>Photo</th>{head}</tr></thead><tbody>{rows}</tbody>'
        f"<tfoot><tr><td>Mean</td>{foot}</tr></tfoot></table></div>"
    )
    figures = "".join(
        f'<figure class="pair"><figcaption><span>{escape(view.name)}: photo left, scene right</span>'
        f"<span>{view.psnr_after:.1f} dB, SSIM {view.ssim_after:.2f}</span></figcaption>"
        f"{_image(pairs[view.name], 'jpeg', f'{view.name}: photo left, scene right')}</figure>"
        for view in report.held_out
        if view.name in pairs
    )
    return _section("Check photos, and the scene from the same place", note + figures + table)


def _training(report: Report) -> str:
    if len(report.training_curve) < 2:
        return ""
    points = [(float(point.step), point.psnr) for point in report.training_curve]
    last = report.training_curve[-1]
    note = f"<p>{last.step:,} steps, {last.gaussians:,} Gaussians, {last.psnr:.1f} dB on check photos.</p>"
    return _section("Training progress", note + line_chart(points, "step", "dB"))


def _stages(report: Report, prices: str) -> str:
    """Time by stage, and cost if machines were rented: a run on the customer's own machine has none."""
    costs = report.cost["stages"]
    rented = any("dollars" in cost for cost in costs.values())

    def billed(tag: str, text: str) -> str:
        return f'<{tag} class="number">{text}</{tag}>' if rented else ""

    longest = max((cost["seconds"] for cost in costs.values()), default=0.0)
    rows = "".join(
        f"<tr><td>{title}{bar(cost['seconds'] / longest if longest else 0, title)}</td>"
        f'<td class="number">{duration(cost["seconds"])}</td>{billed("td", _dollars(cost))}</tr>'
        for title, cost in ((Stage(stage).spec.title, cost) for stage, cost in costs.items())
    )
    foot = (
        f'<td>All</td><td class="number">{duration(report.cost["seconds"])}</td>{billed("td", _dollars(report.cost))}'
    )
    note = f'<p class="soft">Machine time as billed, at {escape(prices)}. Spot capacity costs less.</p>'
    head = f'<tr><th>Step</th><th class="number">Time</th>{billed("th", "Cost")}</tr>'
    table = f"<table><thead>{head}</thead><tbody>{rows}</tbody><tfoot><tr>{foot}</tr></tfoot></table>"
    title, note = ("Processing time and cost", note) if rented else ("Processing time", "")
    return _section(title, f'<div class="scroll">{table}</div>{note}')


def _dollars(cost: dict[str, float]) -> str:
    return f"${cost['dollars']:.4f}" if "dollars" in cost else "–"


def _files(report: Report) -> str:
    if not report.files:
        return ""
    rows = "".join(
        f'<tr><td>{escape(file.name)}</td><td class="number">{megabytes(file.bytes)}</td></tr>' for file in report.files
    )
    ratio = report.compression_ratio
    note = "" if ratio is None else f"<p>The .sog is {ratio:.1f} times smaller than the splat it was made from.</p>"
    return _section("Files", f"{note}<table><tbody>{rows}</tbody></table>")


def _warnings(report: Report) -> str:
    shown = [warning for warning in report.warnings if warning.hint != NOTHING_TO_DO]
    if not shown:
        return ""
    items = "".join(
        f'<p class="warning">{escape(warning.sentence)} {escape(warning.hint)} '
        f'<span class="soft">{escape(warning.message)}</span></p>'
        for warning in shown
    )
    return _section("Worth knowing", items)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _image(content: bytes, kind: str, alt: str, css: str = "") -> str:
    data = base64.b64encode(content).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" alt="{escape(alt)}"{f" class={css}" if css else ""}>'


def megabytes(count: int) -> str:
    """A number of bytes in words, in decimal units like those of file managers."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def duration(seconds: float) -> str:
    """A duration in words: 8.2 s, 3 min 12 s, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
