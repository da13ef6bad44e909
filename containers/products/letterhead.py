"""The letterhead of a quality report: the company and its logo, and the project, customer and site of the report."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from PIL import Image, ImageOps

from contract.branding import MAX_LOGO_BYTES

MAX_LOGO_PIXELS = 16_000_000  # 64 MB decoded, however small the file is
_TOO_LARGE = f"it has more than {MAX_LOGO_PIXELS / 1e6:.0f} megapixels"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_PIXELS = (900, 300)  # 300 per inch at the drawn size of 7.5 by 2.5 cm
_FAULTS = (OSError, ValueError, SyntaxError, IndexError, TypeError, EOFError, zlib.error)


@dataclass(frozen=True)
class Letterhead:
    """The texts as they are printed, empty if not given. `logo`: the company's file as it was uploaded."""

    project: str = ""
    customer: str = ""
    site: str = ""
    company: str = ""
    address: str = ""
    logo: Path | None = None

    def facts(self, captured: Mapping[str, str] | None, today: date) -> list[tuple[str, str]]:
        """Names and values of the facts about a report that are known; `captured` is that of survey.json."""
        facts = [
            ("Project", self.project),
            ("Customer", self.customer),
            ("Site", self.site),
            ("Date of flight", _day(captured["first"]) if captured else ""),
            ("Date of report", _in_words(today)),
        ]
        return [(name, text) for name, text in facts if text]


def _day(captured: str) -> str:
    """The day of a time in EXIF's form, `2026:05:04 10:00:00`, in words; any other text is returned unchanged."""
    try:
        return _in_words(date.fromisoformat(captured.partition(" ")[0].replace(":", "-")))
    except ValueError:
        return captured


def _in_words(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"  # strftime's %B depends on the machine's locale


class UnusableLogoError(Exception):
    """A logo cannot be used; the message tells whoever set it why."""


def read_logo(path: Path) -> bytes:
    """The logo as a PNG of the size that a report needs. Raises UnusableLogoError.

    None of the file's own bytes enter a report: it is decoded, only as PNG or JPEG, and encoded again.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_LOGO_BYTES + 1)
    except OSError:
        content = b""
    if not content:
        raise UnusableLogoError("there is no such file, or it is empty")
    if len(content) > MAX_LOGO_BYTES:
        raise UnusableLogoError(f"it is larger than {MAX_LOGO_BYTES / 1e6:.0f} MB")
    try:
        return _as_png(content)
    except Image.DecompressionBombError as fault:  # Pillow's own limit, unless a stage has lifted it
        raise UnusableLogoError(_TOO_LARGE) from fault
    except _FAULTS as fault:
        raise UnusableLogoError("it is not a readable PNG or JPEG") from fault


def _as_png(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
        if picture.width * picture.height > MAX_LOGO_PIXELS:  # from the header: nothing is decoded yet
            raise UnusableLogoError(_TOO_LARGE)
        shown = ImageOps.exif_transpose(picture).convert("RGBA")
    shown.thumbnail(_PIXELS)
    out = io.BytesIO()
    shown.save(out, "PNG")
    return out.getvalue()
