"""The exception that ends a stage: a code of the closed list (contract/codes.py) and the facts."""

from __future__ import annotations

from contract.codes import ErrorCode as ErrorCode


class StageError(Exception):
    """A failure with a code from the closed list and a sentence of facts (counts, names, limits)."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
