"""Compose the customer's mails in HTML and text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from email.policy import EmailPolicy
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from contract.codes import EVIDENCED, ErrorCode
from contract.events import StatusType
from domain.errors import JobError
from domain.job import BY_EMAIL
from domain.job_item import JobItem
from domain.status import StatusDetail

# subjects about a scene that is ready, by its grade (deliver/verdict.py)
BY_GRADE = {
    "usable": "Your 3D scene “{name}” is ready, with some weak spots",
    "poor": "Your 3D scene “{name}” is ready, but its quality is poor",
}
OPEN, WITHOUT_ACCOUNT = "Open your scene", "View it without signing in"
PREVIEW_CID = "preview@spaceport"
UNSUBSCRIBE = "List-Unsubscribe"
TEMPLATES = Path(__file__).parent / "templates"

SUBJECTS = {
    StatusType.JOB_STARTED: "We are making your 3D scene “{name}”",
    StatusType.JOB_SUCCEEDED: "Your 3D scene “{name}” is ready",
    StatusType.JOB_FAILED: "Your 3D scene “{name}” could not be made",
    StatusType.JOB_REJECTED: "We could not accept your upload “{name}”",
    StatusType.JOB_STOPPED: "Your 3D scene “{name}” was stopped",
}


class MailPolicy(EmailPolicy):
    """Writes UNSUBSCRIBE in one line: EmailPolicy would fold a URL longer than a line into encoded words, which mail
    programs do not decode in this header (RFC 2369)."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if name != UNSUBSCRIBE:
            return super().fold_binary(name, value)
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"not a line of printable ASCII: {value!r}")
        return f"{name}: {value}{self.linesep}".encode()


@dataclass(frozen=True)
class MailLinks:
    """`delivered`: links to delivered files, by their labels, which expire after `hours`; the first one is the button.
    `job`: the job's own page; `stop`: the page that ends these mails."""

    delivered: dict[str, str]
    hours: int
    job: str
    stop: str


@dataclass(frozen=True)
class Letter:
    """The content of a mail, before it becomes text or HTML. `links`: by their labels; the first one is the button.

    `files`: signed links of hundreds of characters, only for HTML; the page behind the first of `links` has them too.
    `note` refers to them, if there are any.
    """

    lead: str
    links: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    figures: list[tuple[str, str]] = field(default_factory=list)
    advice: str | None = None
    note: str | None = None


def compose(
    type_: StatusType,
    item: JobItem,
    detail: StatusDetail,
    links: MailLinks,
    preview: bytes | None,
    expected: str | None = None,
) -> EmailMessage:
    """The message without sender and receiver. `item`: the job's facts; `preview`: a PNG at the top of a success;
    `expected`: how long a job that starts is likely to take, in words."""
    subject = unlinked(" ".join(_subject(type_, detail).format(name=item.name).split()))  # a header is one line
    letter = _letter(type_, item, detail, links, expected)
    message = EmailMessage(MailPolicy())
    message["Subject"] = subject
    message.set_content(_text(subject, letter, detail.job_id, links.stop))
    shown = preview if type_ is StatusType.JOB_SUCCEEDED else None
    message.add_alternative(_html(subject, letter, detail.job_id, links.stop, shown is not None), subtype="html")
    if shown is not None:
        html_part = message.get_body(("html",))
        assert isinstance(html_part, EmailMessage)
        html_part.add_related(shown, maintype="image", subtype="png", cid=f"<{PREVIEW_CID}>", filename="preview.png")
    return message


def _subject(type_: StatusType, detail: StatusDetail) -> str:
    grade = _verdict(detail.metrics).get("grade", "")
    return BY_GRADE.get(grade, SUBJECTS[type_]) if type_ is StatusType.JOB_SUCCEEDED else SUBJECTS[type_]


def _verdict(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = metrics.get("verdict") or {}
    return found


def unlinked(text: str) -> str:
    """`text` with an invisible word joiner (U+2060) wherever mail programs could turn it into a link: whoever sends an
    upload chooses its names and facts, but the mail comes from us. Browsers accept four characters as the dot in a
    host's name (https://www.unicode.org/reports/tr46/)."""
    return re.sub(r"(?<=[^\s.])(?:[.。．｡](?=[^\W\d])|[@＠](?=\w)|:(?=//))", "\\g<0>\u2060", text)


def _letter(type_: StatusType, item: JobItem, detail: StatusDetail, links: MailLinks, expected: str | None) -> Letter:
    if type_ is StatusType.JOB_STARTED:
        lead = (
            "Your upload is complete and can be used. We’ll e-mail you when your scene is ready; "
            "you do not need to keep the page open."
        )
        note = unlinked(" ".join(item.remarks)) or None
        figures = [*_options(item), *([("Expected time", expected)] if expected else [])]
        return Letter(lead, {"Follow the progress": links.job}, figures=figures, note=note)
    if detail.error is None:
        verdict = _verdict(detail.metrics)
        lead = " ".join(filter(None, ["Your scene is ready to view in any browser.", verdict.get("sentence")]))
        step = verdict.get("nextStep", {}).get("label")
        advice = " ".join(filter(None, [verdict.get("why"), f"{step} on the scene’s page." if step else None]))
        figures = [*_about(item), *_place(item, detail.metrics), *_figures(detail.metrics)]
        return replace(_linked(lead, item, links), figures=figures, advice=advice or None)
    return replace(_failure(type_, detail.error, links), figures=_about(item))


def _linked(lead: str, item: JobItem, links: MailLinks) -> Letter:
    """The links of a success, and a note on how long they work. The scene's page comes first, because it makes new
    links whenever it is opened; links in a mail expire with the session that signed them, perhaps sooner than stated.
    An owner known only by an address may have no account for that page, so the delivered files come first.
    """
    if item.owner is None or item.owner.startswith(BY_EMAIL):
        note = f"These links expire in {_hours(links)}. The scene’s page always has new ones."
        return Letter(lead, {**links.delivered, "The scene’s page": links.job}, note=note)
    delivered = {WITHOUT_ACCOUNT if label == OPEN else label: url for label, url in links.delivered.items()}
    note = f"“{OPEN}” always works; the other links expire in {_hours(links)}."
    return Letter(lead, {OPEN: links.job}, delivered, note=note)


def _failure(type_: StatusType, error: JobError, links: MailLinks) -> Letter:
    note = "" if error.code is ErrorCode.STOPPED else f"Error {error.code}"
    shown = type_ is StatusType.JOB_FAILED and error.code in EVIDENCED
    label = "See what happened to each photo" if shown else "The scene’s page"
    return Letter(unlinked(error.message), {label: links.job}, advice=error.hint, note=note)


def _text(subject: str, letter: Letter, job_id: str, stop: str) -> str:
    parts = [
        subject,
        letter.lead,
        f"What to do: {letter.advice}" if letter.advice else "",
        "\n".join(f"{label}: {value}" for label, value in letter.figures),
        "\n".join(f"{label}: {url}" for label, url in letter.links.items()),
        letter.note if letter.note and not letter.files else "",
        f"Job {job_id}\nUnsubscribe from these e-mails: {stop}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(subject: str, letter: Letter, job_id: str, stop: str, picture: bool) -> str:
    (first_label, first_url), *others = {**letter.links, **letter.files}.items()
    rows = "".join(_fill("figure", label=escape(label), value=escape(value)) for label, value in letter.figures)
    return _fill(
        "page",
        subject=escape(subject),
        picture=_fill("picture", cid=PREVIEW_CID, alt=escape(subject)) if picture else "",
        lead=escape(letter.lead),
        advice=_fill("advice", advice=escape(letter.advice)) if letter.advice else "",
        figures=_fill("figures", rows=rows) if rows else "",
        first_url=escape(first_url),
        first_label=escape(first_label),
        links=" · ".join(_fill("link", url=escape(url), label=escape(label)).strip() for label, url in others),
        note=escape(letter.note or ""),
        job_id=escape(job_id),
        stop=escape(stop),
    )


def _fill(template: str, **values: str) -> str:
    return Template((TEMPLATES / f"{template}.html").read_text(encoding="utf-8")).substitute(values)


def _about(item: JobItem) -> list[tuple[str, str]]:
    """The facts that the customer gave about the job."""
    said = (("Project", item.project), ("Customer", item.customer), ("Site", item.site))
    lines = [(label, " ".join((text or "").split())) for label, text in said]
    return [(label, unlinked(line)) for label, line in lines if line]


def _place(item: JobItem, metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the scene is, if the customer named no site: to ten metres, which is enough to tell sites apart."""
    place = metrics.get("place")
    if item.site or not place:
        return []
    latitude, longitude = place["latitude"], place["longitude"]
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    system = [("Coordinate system", place["system"])] if place.get("system") else []
    return [("Location", f"{abs(latitude):.4f}° {north}, {abs(longitude):.4f}° {east}"), *system]


def _options(item: JobItem) -> list[tuple[str, str]]:
    """The options of the job that were recorded."""
    figures = [("Photos", f"{item.photos:,}")] if item.photos else []
    return [*figures, *([("Quality", item.quality)] if item.quality else [])]


def _figures(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures that interest customers most, if they were measured."""
    figures = []
    if "photos" in metrics and "registered" in metrics:
        figures.append(("Photos used", f"{metrics['registered']} of {metrics['photos']}"))
    if "score" in metrics:
        figures.append(("Score", f"{metrics['score']} of 100"))
    if "psnr" in metrics:
        figures.append(("Match to your photos", f"{metrics['psnr']:.1f} dB"))
    if "gaussians" in metrics:
        figures.append(("Gaussians", f"{metrics['gaussians']:,}"))
    if "bytes" in metrics:
        figures.append(("Size", f"{metrics['bytes'] / 1e6:.1f} MB"))
    if "seconds" in metrics:
        figures.append(("Machine time", _duration(sum(metrics["seconds"].values()))))
    return figures


def _hours(links: MailLinks) -> str:
    return "1 hour" if links.hours == 1 else f"{links.hours} hours"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
