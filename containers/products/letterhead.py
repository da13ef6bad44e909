"""Whose a quality report is: the company that made it, its logo, and the project, customer and site that it is for."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from PIL import Image, ImageOps

from contract.branding import MAX_LOGO_BYTES

MAX_LOGO_PIXELS = 16_000_000  # 64 MB decoded, whatever it is packed into
_TOO_LARGE = f"it has more than {MAX_LOGO_PIXELS / 1e6:.0f} megapixels"
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_PIXELS = (900, 300)  # as it is drawn: 300 an inch over 7.5 by 2.5 cm
_FAULTS = (OSError, ValueError, SyntaxError, IndexError, TypeError, EOFError, zlib.error)


@dataclass(frozen=True)
class Letterhead:
    """Texts as they are printed, empty where there are none. `logo`: the company's file, as it came."""

    project: str = ""
    customer: str = ""
    site: str = ""
    company: str = ""
    address: str = ""
    logo: Path | None = None

    def facts(self, captured: Mapping[str, str] | None, today: date) -> list[tuple[str, str]]:
        """What a report is about, as far as it is known; `captured` as survey.json has it."""
        facts = [
            ("Project", self.project),
            ("Customer", self.customer),
            ("Site", self.site),
            ("Date of flight", _day(captured["first"]) if captured else ""),
            ("Date of report", _in_words(today)),
        ]
        return [(name, text) for name, text in facts if text]


def _day(captured: str) -> str:
    """`2026:05:04 10:00:00`, as EXIF has it, in words; as it is where it is no such day."""
    try:
        return _in_words(date.fromisoformat(captured.partition(" ")[0].replace(":", "-")))
    except ValueError:
        return captured


def _in_words(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"  # strftime's %B is in the machine's language


class UnusableLogoError(Exception):
    """The reason, for whoever set the logo."""


def read_logo(path: Path) -> bytes:
    """The logo as a PNG of the size that a report needs. Raises UnusableLogoError.

    Nothing of the file itself gets into a report: it is decoded, as PNG or JPEG alone, and encoded anew.
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
    except Image.DecompressionBombError as fault:  # Pillow's own limit, where no stage has lifted it
        raise UnusableLogoError(_TOO_LARGE) from fault
    except _FAULTS as fault:
        raise UnusableLogoError("it is no PNG or JPEG that can be read") from fault


def _as_png(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
        if picture.width * picture.height > MAX_LOGO_PIXELS:  # by the header: nothing is decoded yet
            raise UnusableLogoError(_TOO_LARGE)
        shown = ImageOps.exif_transpose(picture).convert("RGBA")
    shown.thumbnail(_PIXELS)
    out = io.BytesIO()
    shown.save(out, "PNG")
    return out.getvalue()
