"""Damage bytes, names and JSON as an attacker or a bad disk would, reproducibly by the given random generator."""

from __future__ import annotations

import random
import struct
from typing import Any

NAMES = (
    "../../../../pwned.jpg", "/etc/passwd", "/tmp/pwned.png", "..", ".", "", "a\0b.jpg", "C:/pwned.jpg", "C:\\p.jpg",
    "..\\..\\pwned.jpg", "\\\\server\\share\\a.jpg", "n" * 300 + ".jpg", "d/" * 1020 + "a.jpg", "a\r\nBcc: x@y.z.jpg",
    "\x1b]0;owned\x07.jpg", "\u202egpj.exe", "<!--<script>.jpg", "=?utf-8?b?a?=", "\ud800.jpg", "%2e%2e%2fa.jpg",
    "{0.__class__}.jpg", "images/../../x.jpg", "|id.jpg", "http://169.254.169.254/latest/meta-data/",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, 10**40)
_LAYOUTS = {"<B": 8, "<H": 16, "<I": 32, "<Q": 64, ">H": 16, ">I": 32, ">Q": 64}
_TEXTS = (b"\0", b"\xff" * 8, b"nan", b"inf", b"-1", b"9" * 40, b"%s%n", b"../", b"\xff\xd8\xff\xe1\xff\xff")


def damaged(rng: random.Random, content: bytes) -> bytes:
    """`content` with one to four faults: flipped, cut, repeated or removed bytes, extreme numbers, foreign text."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(len(data), 400) if rng.random() < 0.5 and data else len(data) + 1)
        fault = rng.randrange(7)
        if fault == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif fault == 1:
            del data[at:]
        elif fault == 2:
            del data[at : at + rng.randint(1, 64)]
        elif fault == 3:
            data[at:at] = data[at : at + rng.randint(1, 256)]
        elif fault == 4:
            layout, bits = rng.choice(list(_LAYOUTS.items()))
            value = struct.pack(layout, rng.choice(NUMBERS) % 2**bits)
            data[at : at + len(value)] = value
        elif fault == 5:
            text = rng.choice(_TEXTS)
            data[at : at + len(text)] = text
        else:
            data[at : at + rng.randint(1, 32)] = rng.randbytes(rng.randint(1, 32))
    return bytes(data)


def strange(rng: random.Random) -> Any:
    """A JSON value of an unexpected kind."""
    return rng.choice([
        None, True, [], {}, "", -1, 0, 1e308, rng.choice(NUMBERS), rng.choice(NAMES), "9" * 5000, [[]] * 100,
        {"__proto__": {}}, nested(rng.choice((5, 200))), float("nan"), "x" * 100_000,
    ])  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def changed(rng: random.Random, value: Any) -> Any:
    """The JSON value with one part replaced, removed or added, anywhere in it."""
    if rng.random() < 0.15 or not isinstance(value, (dict, list)) or not value:
        return strange(rng)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = rng.choice(keys)
    copy = value.copy()
    fault = rng.randrange(4)
    if fault == 0:
        del copy[key]
    elif fault == 1 and isinstance(copy, dict):
        copy[str(rng.choice(NAMES))] = strange(rng)
    else:
        copy[key] = changed(rng, copy[key])
    return copy
