"""Coded failures, as status events, the jobs table, mails and answers contain them. Codes: contract/codes.py."""

from __future__ import annotations

from pydantic import BaseModel

from contract.codes import FAILURES, ErrorCode

MAX_FACTS = 200  # characters


def one_line(text: str, length: int) -> str:
    """`text` as one line of at most `length` printable characters.

    Facts and names come from customers' files: a line break could add a paragraph to a mail, a bidirectional override
    could reverse a name, and EventBridge accepts no event of more than 256 kB.
    """
    shown = text[: 4 * length]  # the rest would be cut off in any case
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in shown).split())
    return line if len(line) <= length and len(text) <= 4 * length else line[: length - 1].rstrip() + "…"


class JobError(BaseModel):
    """An error in status events, the jobs table and mails: `message` states the facts, `hint` what to do."""

    code: ErrorCode
    message: str
    hint: str

    @classmethod
    def of(cls, code: ErrorCode, facts: str = "") -> JobError:
        """`facts` may be any text: it is cut to one line here, for every code."""
        kind = FAILURES[code]
        facts = one_line(facts, MAX_FACTS)
        return cls(code=code, message=f"{kind.sentence} ({facts})" if facts else kind.sentence, hint=kind.hint)


class RejectedUpload(Exception):
    """The upload cannot become a job; carries the coded reason."""

    def __init__(self, code: ErrorCode, facts: str = "") -> None:
        self.error = JobError.of(code, facts)
        super().__init__(f"{code}: {self.error.message}")


class RefusedRequest(Exception):
    """A request about a job that cannot be met; carries the coded reason."""

    def __init__(self, code: ErrorCode, facts: str = "") -> None:
        self.error = JobError.of(code, facts)
        super().__init__(f"{code}: {self.error.message}")
