"""A coded failure as it travels: in status events, the jobs table, mails and answers. Codes: contract/codes.py."""

from __future__ import annotations

from pydantic import BaseModel

from contract.codes import FAILURES, ErrorCode

MAX_FACTS_CHARACTERS = 1000  # facts travel in the state machine's data and in events of 256 KiB at most


class JobError(BaseModel):
    """An error as status events, the jobs table and mails carry it. `message` has the facts, `hint` what to do."""

    code: ErrorCode
    message: str
    hint: str

    @classmethod
    def of(cls, code: ErrorCode, facts: str = "") -> JobError:
        kind = FAILURES[code]
        facts = facts[:MAX_FACTS_CHARACTERS]
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
