"""Defines a door: an entry point for data from outside."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Door:
    """`make` writes one hostile input into an empty folder; `open` reads it and returns the code of its refusal, "" if
    it is accepted. Any exception of `open` is a fault, and so is any effect outside the folder."""

    name: str
    make: Callable[[random.Random, Path], None]
    open: Callable[[Path], str]
