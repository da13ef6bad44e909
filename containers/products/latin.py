"""Convert text to the letters of a PDF's built-in fonts: Windows-1252, and Greek from Symbol.

Other Latin letters lose their diacritics, Cyrillic is transliterated by the BGN/PCGN rules for Russian, and any other
character becomes a question mark. `quality.html` keeps every text unchanged.
"""

from __future__ import annotations

import unicodedata

_GREEK = {*range(0x391, 0x3AA), *range(0x3B1, 0x3CA)} - {0x3A2}  # without accents, as Symbol has them
_OTHERS = """
ł=l đ=d ı=i ħ=h ŧ=t ŋ=n ə=e ẞ=SS ‐=- ‑=- −=-
а=a б=b в=v г=g д=d е=e ё=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=kh ц=ts ч=ch ш=sh щ=shch
ъ= ы=y ь= э=e ю=yu я=ya ґ=g є=ye і=i ї=yi ў=u ј=j љ=lj њ=nj ћ=c ђ=dj џ=dz ѕ=dz ќ=k ѓ=g
"""
_PLAIN = {other: plain for other, _, plain in (pair.partition("=") for pair in _OTHERS.split())}


def in_pdf_letters(text: str) -> str:
    """`text` in letters that the built-in fonts have."""
    return "".join(map(_written, unicodedata.normalize("NFC", text)))


def _written(letter: str) -> str:
    if ord(letter) in _GREEK or _is_windows(letter):
        return letter
    if (found := _PLAIN.get(letter)) is not None:
        return found
    if (found := _PLAIN.get(letter.lower())) is not None:
        return found.capitalize()
    whole = unicodedata.normalize("NFKD", letter)
    plain = "".join(part for part in whole if not unicodedata.combining(part))
    return "".join(map(_written, plain)) if plain != letter else "?"


def _is_windows(letter: str) -> bool:
    try:
        return letter.isprintable() and bool(letter.encode("cp1252"))
    except UnicodeEncodeError:
        return False
