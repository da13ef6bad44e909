"""The company on a quality report: any texts, any file as a logo, and what of them reaches the page and the PDF."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import Paragraph

from contract.branding import MAX_LOGO_BYTES
from products.latin import in_pdf_letters
from products.letterhead import Letterhead, UnusableLogoError, read_logo
from products.quality import Report, report
from products.quality_files import write_html, write_pdf
from tests.unit.products.test_quality import evidence

TODAY = date(2026, 5, 11)
FULL = Letterhead("Bridge 7", "City of Ulm", "Mill Lane 4", "Söhne & Co", "Hauptstraße 12, 89073 Ulm")


def written(letterhead: Letterhead, logo: bytes | None = None, name: str = "Meadow") -> Report:
    return report(evidence(name=name, letterhead=letterhead), TODAY, logo)


def encoded(kind: str, size: tuple[int, int] = (600, 200), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "navy" if mode in ("RGB", "RGBA") else 0).save(out, kind)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims width by height pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


class Read(HTMLParser):
    """The tags of a page with their attributes' names, and its cells and paragraphs as text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


# texts as the control plane passes them on: printable, with markup, quotes and characters that reportlab interprets
MARKUP = st.text("<>&\"'/=;:#$%{}\\()[]!-abé", min_size=1, max_size=80)
PRINTED = st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]), min_size=1, max_size=80)
TEXTS = (
    MARKUP
    | PRINTED
    | st.sampled_from(["<img src=x onerror=alert(1)>", "</title><script>", "&lt;b&gt;", "<font>", "]]>"])
)


@settings(deadline=None, max_examples=40)
@given(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS))
def test_no_text_is_markup_of_the_page(tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, ...]) -> None:
    name, project, customer, site, company, address = texts
    path = tmp_path_factory.mktemp("page") / "quality.html"
    write_html(path, written(FULL))
    plain = Read(path.read_text(encoding="utf-8"))
    write_html(path, written(Letterhead(project, customer, site, company, address), name=name))
    found = Read(path.read_text(encoding="utf-8"))
    assert found.tags == plain.tags
    assert {*texts, f"{name}: quality report"} <= {*found.texts}


@settings(deadline=None, max_examples=8)
@given(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS))
def test_any_texts_make_a_pdf(tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, ...]) -> None:
    name, project, customer, site, company, address = texts
    path = tmp_path_factory.mktemp("pdf") / "quality.pdf"
    write_pdf(path, written(Letterhead(project, customer, site, company, address), name=name))
    assert path.read_bytes().rstrip().endswith(b"%%EOF")


def test_a_pdf_says_what_was_given_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text as passed to reportlab: markup is escaped, and the footer names the company."""
    said: list[str] = []
    footers: list[str] = []

    def paragraph(text: str, style: ParagraphStyle) -> Paragraph:
        said.append(text)
        return Paragraph(text, style)

    def cut(text: str, *_: object) -> str:
        footers.append(text)
        return text

    monkeypatch.setattr("products.quality_files.Paragraph", paragraph)
    monkeypatch.setattr("products.quality_files._cut", cut)
    given = Letterhead("<b>7</b>", "A & B", "Mill Lane", "Łódź <Survey>", "ulica 4")
    write_pdf(tmp_path / "quality.pdf", written(given))
    assert {"&lt;b&gt;7&lt;/b&gt;", "A &amp; B", "Mill Lane", "<b>Lódz &lt;Survey&gt;</b>", "ulica 4"} <= {*said}
    assert {*footers} == {"Lódz <Survey> | Meadow | Quality report"}


def test_the_page_has_logo_company_and_address_at_its_head_and_the_company_at_its_foot(tmp_path: Path) -> None:
    (tmp_path / "logo").write_bytes(encoded("PNG"))
    write_html(tmp_path / "quality.html", written(FULL, read_logo(tmp_path / "logo")))
    page = (tmp_path / "quality.html").read_text(encoding="utf-8")
    head = page[page.index("<header>") : page.index("</header>")]
    assert "data:image/png;base64," in head
    assert "Söhne &amp; Co" in head
    assert "Hauptstraße 12" in head
    assert "<footer>Söhne &amp; Co</footer>" in page
    write_html(tmp_path / "bare.html", written(Letterhead()))
    bare = (tmp_path / "bare.html").read_text(encoding="utf-8")
    assert "<footer>" not in bare
    assert 'class="company"' not in bare


def test_a_pdf_has_the_logo(tmp_path: Path) -> None:
    (tmp_path / "logo").write_bytes(encoded("PNG", mode="RGBA"))
    for name, logo in (("with", read_logo(tmp_path / "logo")), ("without", None)):
        write_pdf(tmp_path / name, written(FULL, logo))
    assert (tmp_path / "with").read_bytes().count(b"/Subtype /Image") > 0
    assert (tmp_path / "without").read_bytes().count(b"/Subtype /Image") == 0


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "L")]
)
def test_a_png_or_jpeg_becomes_a_small_png(kind: str, mode: str, tmp_path: Path) -> None:
    (tmp_path / "logo").write_bytes(encoded(kind, (3000, 1000), mode))
    with Image.open(io.BytesIO(read_logo(tmp_path / "logo"))) as found:
        assert (found.format, found.size) == ("PNG", (900, 300))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
UNUSABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no such file"),
    "large": (lambda: encoded("PNG") + bytes(MAX_LOGO_BYTES), "larger than 1 MB"),
    "svg": (lambda: SVG, "not a readable PNG or JPEG"),
    "gif": (lambda: encoded("GIF"), "not a readable PNG or JPEG"),
    "tiff": (lambda: encoded("TIFF"), "not a readable PNG or JPEG"),
    "cut off": (lambda: encoded("PNG")[:60], "not a readable PNG or JPEG"),
    "cut off jpeg": (lambda: encoded("JPEG")[:300], "not a readable PNG or JPEG"),
    "bomb": (lambda: bomb(4001, 4000), "16 megapixels"),
    "huge bomb": (lambda: bomb(60_000, 60_000), "16 megapixels"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_is_no_usable_logo_is_named_as_what_it_is(name: str, tmp_path: Path) -> None:
    content, reason = UNUSABLE[name]
    (tmp_path / "logo").write_bytes(content())
    with pytest.raises(UnusableLogoError, match=reason):
        read_logo(tmp_path / "logo")


def test_a_file_that_is_not_there_is_no_logo(tmp_path: Path) -> None:
    with pytest.raises(UnusableLogoError, match="no such file"):
        read_logo(tmp_path / "logo")


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(0, 300), st.sampled_from(["PNG", "JPEG"]))
def test_whatever_is_in_a_file_it_is_a_logo_or_it_is_said_why_not(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, kind: str
) -> None:
    path = tmp_path_factory.mktemp("logo") / "logo"
    whole = encoded(kind, (60, 20))
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    with suppress(UnusableLogoError):  # no other exception: a process that fails writes no report at all
        assert read_logo(path).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Straße, Café, “Œuvre” – 5 €", "Straße, Café, “Œuvre” – 5 €"),
        ("Łódź, Žižkov, Győr, Ağrı, Nguyễn", "Lódz, Žižkov, Gyor, Agri, Nguyen"),
        ("Щёкино, Київ, Ђорђе", "Shchekino, Kiyiv, Djordje"),
        ("Αθήνα, σ", "Αθηνα, σ"),
        ("e\u0301", "é"),
        ("測量 한 שלום", "?? ??? ????"),
    ],
)
def test_a_pdf_draws_what_its_fonts_have_and_the_nearest_letters_for_others(text: str, drawn: str) -> None:
    assert in_pdf_letters(text) == drawn


@given(st.text(max_size=80))
def test_any_text_comes_out_in_letters_that_the_fonts_have(text: str) -> None:
    drawn = in_pdf_letters(text)
    assert re.fullmatch(r"[\x20-\x7e\xa0-\xff\u0100-\u2122]*", drawn)
    assert in_pdf_letters(drawn) == drawn
