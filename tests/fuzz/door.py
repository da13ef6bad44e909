"""What a door is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Door:
    """`make` writes one hostile input into an empty folder; `open` takes it and gives the code of its refusal, "" where
    it is taken. Any exception of `open` is a fault, and so is whatever happens outside the folder."""

    name: str
    make: Callable[[random.Random, Path], None]
    open: Callable[[Path], str]
