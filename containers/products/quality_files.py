"""Write the quality report as HTML, which needs no other file, and as PDF (A4, reportlab)."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

from PIL import Image as Picture
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Image, Paragraph, SimpleDocTemplate, Spacer, Table

from products.quality import Report, Section, Verdict

TINTS = {Verdict.GOOD: "#268c46", Verdict.FAIR: "#b8760c", Verdict.POOR: "#c4302b"}
_LINE, _SHADE, _INK = "#d2d6dc", "#f0f2f5", "#181c22"
_PICTURE_PIXELS = 1400  # of a picture's longer side: 200 a inch over the page's width
_MARGIN = 16 * mm
_TALLEST = 120 * mm
_CHECK_HEADER = ("Check", "Found", "Wanted", "")
_HEADING = "Quality report"


def write_html(path: Path, report: Report) -> None:
    """One file, pictures inside."""
    title = html.escape(report.title)
    checks = _html_table(
        _CHECK_HEADER,
        [
            "".join(f"<td>{html.escape(text)}</td>" for text in (check.name, check.found, check.wanted))
            + f'<td style="color:{TINTS[check.verdict]};font-weight:600">{check.verdict.value}</td>'
            for check in report.checks
        ],
    )
    body = "\n".join(_html_section(section) for section in report.sections)
    path.write_text(
        f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}: quality report</title>
<style>
body{{font:15px/1.5 system-ui,sans-serif;color:{_INK};max-width:50rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}td,th{{border-bottom:1px solid {_LINE};padding:.3rem .5rem;text-align:left}}
th{{background:{_SHADE}}}img{{max-width:100%}}figcaption,.notice{{color:#565d68}}
</style>
<h1>{title}</h1><p>{_HEADING}</p>
{checks}
<p class="notice">{html.escape(report.notice)}</p>
{body}
</html>
""",
        encoding="utf-8",
    )


def _html_section(section: Section) -> str:
    rows = ["".join(f"<td>{html.escape(text)}</td>" for text in row) for row in section.rows]
    pictures = "".join(
        f'<figure><img alt="" src="data:image/jpeg;base64,{base64.b64encode(_jpeg(path)).decode()}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for path, caption in section.pictures
    )
    text = f"<p>{html.escape(section.text)}</p>" if section.text else ""
    table = _html_table(section.header, rows) if rows else ""
    return f"<h2>{html.escape(section.title)}</h2>{text}{table}{pictures}"


def _html_table(header: tuple[str, ...], rows: list[str]) -> str:
    head = f"<tr>{''.join(f'<th>{html.escape(name)}</th>' for name in header)}</tr>" if header else ""
    return f"<table>{head}{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def write_pdf(path: Path, report: Report) -> None:
    """A4, as many pages as it takes."""
    styles = getSampleStyleSheet()
    body = ParagraphStyle("cell", parent=styles["BodyText"], fontSize=8.5, leading=11, textColor=_INK)
    story: list[Flowable] = [
        Paragraph(_text(report.title), styles["Title"]),
        Paragraph(_HEADING, body),
        Spacer(1, 4 * mm),
        _checks(report, body),
        Spacer(1, 3 * mm),
        Paragraph(_text(report.notice), body),
    ]
    for section in report.sections:
        story.append(Paragraph(_text(section.title), styles["Heading2"]))
        if section.text:
            story.append(Paragraph(_text(section.text), body))
        if section.rows:
            story.append(_table(section, body))
        for picture, caption in section.pictures:
            story += [Spacer(1, 3 * mm), _picture(picture), Paragraph(_text(caption), body)]

    def footer(canvas: Any, document: Any) -> None:
        canvas.setFont("Helvetica", 7.5)
        canvas.setFillColor(colors.HexColor("#6e747c"))
        canvas.drawString(_MARGIN, 9 * mm, f"{report.title[:80]} | {_HEADING}")
        canvas.drawRightString(A4[0] - _MARGIN, 9 * mm, str(document.page))

    document = SimpleDocTemplate(
        str(path), pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=14 * mm, bottomMargin=16 * mm,
        title=f"{report.title}: quality report",
    )  # fmt: skip
    document.build(story, onFirstPage=footer, onLaterPages=footer)


def _checks(report: Report, body: ParagraphStyle) -> Flowable:
    rows = [[Paragraph(f"<b>{name}</b>", body) for name in _CHECK_HEADER]]
    for check in report.checks:
        verdict = f'<font color="{TINTS[check.verdict]}"><b>{check.verdict.value}</b></font>'
        texts = [_text(check.name), _text(check.found), _text(check.wanted), verdict]
        rows.append([Paragraph(text, body) for text in texts])
    return _ruled(rows, [50 * mm, 50 * mm, 58 * mm, 20 * mm], heading=True)


def _table(section: Section, body: ParagraphStyle) -> Flowable:
    columns = len(section.rows[0])
    rows = [[Paragraph(f"<b>{_text(name)}</b>", body) for name in section.header]] if section.header else []
    rows += [[Paragraph(_text(text), body) for text in row] for row in section.rows]
    first = 62 * mm if columns < 6 else 30 * mm
    rest = (A4[0] - 2 * _MARGIN - first) / (columns - 1)
    return _ruled(rows, [first, *[rest] * (columns - 1)], heading=bool(section.header))


def _ruled(rows: list[list[Paragraph]], widths: list[float], heading: bool) -> Table:
    style = [("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor(_LINE)), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    style += [("TOPPADDING", (0, 0), (-1, -1), 1.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5)]
    if heading:
        style.append(("BACKGROUND", (0, 0), (-1, 0), colors.HexColor(_SHADE)))
    return Table(rows, colWidths=widths, style=style, repeatRows=int(heading), hAlign="LEFT")


def _picture(path: Path) -> Flowable:
    content = _jpeg(path)
    with Picture.open(io.BytesIO(content)) as picture:
        across, down = picture.size
    factor = min((A4[0] - 2 * _MARGIN) / across, _TALLEST / down)
    return Image(io.BytesIO(content), across * factor, down * factor)


def _jpeg(path: Path) -> bytes:
    """A picture small enough for a page, as JPEG."""
    with Picture.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((_PICTURE_PIXELS, _PICTURE_PIXELS))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def _text(text: str) -> str:
    """Text for reportlab's markup. Its built-in fonts have Latin letters alone."""
    latin = text.replace("σ", "sigma").replace("–", "-").encode("latin-1", "replace").decode("latin-1")
    return html.escape(latin, quote=False)
