"""The customer's mail, in HTML and text. Pure: figures and links in, message out."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from spaceport.errors import JobError
from spaceport.status import StatusDetail, StatusType

PREVIEW_CID = "preview@spaceport"
TEMPLATES = Path(__file__).parent / "templates"

SUBJECTS = {
    StatusType.JOB_SUCCEEDED: "Your 3D scene “{name}” is ready",
    StatusType.JOB_FAILED: "Your 3D scene “{name}” could not be made",
    StatusType.JOB_REJECTED: "We could not use your upload “{name}”",
    StatusType.JOB_STOPPED: "Your 3D scene “{name}” was stopped",
}


@dataclass(frozen=True)
class MailLinks:
    """MailLinks into the delivery that expire after `hours`, by what the customer reads; the first is the button."""

    urls: dict[str, str]
    hours: int


def compose(
    type_: StatusType, name: str, detail: StatusDetail, links: MailLinks, preview: bytes | None
) -> EmailMessage:
    """The message without sender and receiver. `preview` is a PNG shown at the top of a success."""
    subject = " ".join(SUBJECTS[type_].format(name=name).split())  # a header is one line
    if detail.error is None:
        text, body = _success(detail, links)
    else:
        text, body = _failure(detail.error)
    message = EmailMessage()
    message["Subject"] = subject
    message.set_content(f"{subject}\n\n{text}\n\nJob {detail.job_id}\n")
    shown = preview if detail.error is None else None
    picture = (
        f'<tr><td><img src="cid:{PREVIEW_CID}" width="600" alt="Preview" style="display:block;width:100%"></td></tr>'
        if shown is not None
        else ""
    )
    html = _fill("page", subject=escape(subject), picture=picture, body=body, job_id=escape(detail.job_id))
    message.add_alternative(html, subtype="html")
    if shown is not None:
        html_part = message.get_body(("html",))
        assert isinstance(html_part, EmailMessage)
        html_part.add_related(shown, maintype="image", subtype="png", cid=f"<{PREVIEW_CID}>", filename="preview.png")
    return message


def _success(detail: StatusDetail, links: MailLinks) -> tuple[str, str]:
    figures = _figures(detail.metrics)
    note = f"The links work for {links.hours} hours."
    named = [f"{label}: {url}" for label, url in links.urls.items()]
    text = "\n".join([*(f"{label}: {value}" for label, value in figures), "", *named, "", note])
    rows = "".join(
        f'<tr><td style="padding:4px 16px 4px 0;color:#6b7a75">{escape(label)}</td><td><b>{escape(value)}</b></td></tr>'
        for label, value in figures
    )
    (first_label, first_url), *others = links.urls.items()
    more = " · ".join(f'<a href="{escape(url)}" style="color:#14745a">{escape(label)}</a>' for label, url in others)
    html = _fill(
        "success", rows=rows, first_url=escape(first_url), first_label=escape(first_label), links=more, note=note
    )
    return text, html


def _failure(error: JobError) -> tuple[str, str]:
    text = f"{error.message}\n\nWhat to do: {error.hint}\n\nError {error.code}"
    return text, _fill("failure", what=escape(error.message), hint=escape(error.hint), code=escape(error.code))


def _fill(template: str, **values: str) -> str:
    return Template((TEMPLATES / f"{template}.html").read_text(encoding="utf-8")).substitute(values)


def _figures(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """What a customer asks first, as far as it was measured."""
    figures = []
    if "photos" in metrics and "registered" in metrics:
        figures.append(("Photos used", f"{metrics['registered']} of {metrics['photos']}"))
    if "score" in metrics:
        figures.append(("Score", f"{metrics['score']} of 100"))
    if "psnr" in metrics:
        figures.append(("Likeness to photos kept aside", f"{metrics['psnr']:.1f} dB"))
    if "gaussians" in metrics:
        figures.append(("Gaussians", f"{metrics['gaussians']:,}"))
    if "bytes" in metrics:
        figures.append(("Size", f"{metrics['bytes'] / 1e6:.1f} MB"))
    return figures
