"""Write the quality report as self-contained HTML and as PDF (A4, reportlab)."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

from PIL import Image as Picture
from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable, Image, Paragraph, SimpleDocTemplate, Spacer, Table

from products.latin import in_pdf_letters
from products.quality import Report, Section, Verdict

TINTS = {Verdict.GOOD: "#268c46", Verdict.FAIR: "#b8760c", Verdict.POOR: "#c4302b"}
_LINE, _SHADE, _INK = "#d2d6dc", "#f0f2f5", "#181c22"
_PICTURE_PIXELS = 1400  # longer side of a picture: 200 pixels per inch across the page
_MARGIN = 16 * mm
_TALLEST = 120 * mm
_CHECK_HEADER = ("Check", "Found", "Wanted", "")
_HEADING = "Quality report"
_LOGO = (75 * mm, 22 * mm)  # at most
_COMPANY_WIDTH = 75 * mm
_STYLE = f"""\
body{{font:15px/1.5 system-ui,sans-serif;color:{_INK};max-width:50rem;margin:2rem auto;padding:0 1rem}}
header,.facts,footer{{overflow-wrap:anywhere}}
header{{display:flex;gap:2rem;justify-content:space-between;align-items:flex-start;margin-bottom:1rem}}
h1,header p{{margin:0}}
.company{{text-align:right;max-width:45%}}
.company p{{color:#565d68}}.company img{{display:block;margin-left:auto;max-width:100%;max-height:5.5rem}}
table{{border-collapse:collapse;width:100%;margin-bottom:1rem}}
td,th{{border-bottom:1px solid {_LINE};padding:.3rem .5rem;text-align:left}}
th{{background:{_SHADE}}}
.facts td:first-child{{width:9rem}}
img{{max-width:100%}}
figcaption,.notice,footer{{color:#565d68}}
footer{{margin-top:2rem;border-top:1px solid {_LINE};padding-top:.5rem}}"""


def write_html(path: Path, report: Report) -> None:
    """Write the report as one HTML file that contains its pictures."""
    title = html.escape(report.title)
    facts = [f"<td>{html.escape(name)}</td><td>{html.escape(text)}</td>" for name, text in report.facts]
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
{_STYLE}
</style>
<header><div><h1>{title}</h1><p>{_HEADING}</p></div>{_html_company(report)}</header>
<div class="facts">{_html_table((), facts)}</div>
{checks}
<p class="notice">{html.escape(report.notice)}</p>
{body}
{f"<footer>{html.escape(report.company)}</footer>" if report.company else ""}
</html>
""",
        encoding="utf-8",
    )


def _html_company(report: Report) -> str:
    """Logo, name and address, to the right of the title."""
    logo = f'<img alt="" src="data:image/png;base64,{base64.b64encode(report.logo).decode()}">' if report.logo else ""
    lines = f"<strong>{html.escape(report.company)}</strong>" if report.company else ""
    lines += f"<p>{html.escape(report.address)}</p>" if report.address else ""
    return f'<div class="company">{logo}{lines}</div>' if logo or lines else ""


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
    """Write the report as PDF on as many A4 pages as it needs."""
    styles = getSampleStyleSheet()
    body = ParagraphStyle("cell", parent=styles["BodyText"], fontSize=8.5, leading=11, textColor=_INK)
    story: list[Flowable] = [
        _head(report, styles["Title"], body),
        Spacer(1, 4 * mm),
        _facts(report, body),
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
        foot = " | ".join(in_pdf_letters(text) for text in (report.company, report.title, _HEADING) if text)
        canvas.drawString(_MARGIN, 9 * mm, _cut(foot, "Helvetica", 7.5, A4[0] - 2 * _MARGIN - 12 * mm))
        canvas.drawRightString(A4[0] - _MARGIN, 9 * mm, str(document.page))

    document = SimpleDocTemplate(
        str(path), pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=14 * mm, bottomMargin=16 * mm,
        title=f"{report.title}: quality report", author=report.company or None,
    )  # fmt: skip
    document.build(story, onFirstPage=footer, onLaterPages=footer)


def _head(report: Report, title: ParagraphStyle, body: ParagraphStyle) -> Flowable:
    """The title, with the company to its right."""
    left = [Paragraph(_text(report.title), ParagraphStyle("left", parent=title, alignment=TA_LEFT, spaceAfter=2))]
    left.append(Paragraph(_HEADING, body))
    right: list[Flowable] = []
    if report.logo:
        right.append(_image(report.logo, *_LOGO, align="RIGHT"))
    company = ParagraphStyle("company", parent=body, alignment=TA_RIGHT, spaceBefore=2)
    lines = (f"<b>{_text(report.company)}</b>" if report.company else "", _text(report.address))
    right += [Paragraph(line, company) for line in lines if line]
    widths = [A4[0] - 2 * _MARGIN - _COMPANY_WIDTH, _COMPANY_WIDTH] if right else [A4[0] - 2 * _MARGIN, 0]
    style: list[tuple[Any, ...]] = [
        (side, (0, 0), (-1, -1), 0) for side in ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING")
    ]
    style += [("VALIGN", (0, 0), (-1, -1), "TOP"), ("ALIGN", (1, 0), (1, 0), "RIGHT")]
    return Table([[left, right]], colWidths=widths, style=style, hAlign="LEFT")


def _facts(report: Report, body: ParagraphStyle) -> Flowable:
    rows = [[Paragraph(_text(text), body) for text in fact] for fact in report.facts]
    return _ruled(rows, [30 * mm, A4[0] - 2 * _MARGIN - 30 * mm], heading=False)


def _cut(text: str, font: str, size: float, width: float) -> str:
    """`text`, shortened with an ellipsis if it is wider than `width` points."""
    if stringWidth(text, font, size) <= width:
        return text
    while text and stringWidth(text + "…", font, size) > width:
        text = text[:-1]
    return text + "…"


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
    return _image(_jpeg(path), A4[0] - 2 * _MARGIN, _TALLEST)


def _image(content: bytes, width: float, height: float, align: str = "CENTER") -> Flowable:
    """A picture as large as fits into `width` by `height` points."""
    with Picture.open(io.BytesIO(content)) as picture:
        across, down = picture.size
    factor = min(width / across, height / down)
    return Image(io.BytesIO(content), across * factor, down * factor, mask="auto", hAlign=align)


def _jpeg(path: Path) -> bytes:
    """The picture at `path` as JPEG, scaled down for a page."""
    with Picture.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((_PICTURE_PIXELS, _PICTURE_PIXELS))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def _text(text: str) -> str:
    """`text`, escaped for reportlab's markup."""
    return html.escape(in_pdf_letters(text), quote=False)
