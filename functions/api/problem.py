"""Refusals as problem details (RFC 9457): one closed list of codes, each with its HTTP status. Pure."""

from __future__ import annotations

from http import HTTPStatus

from api.models import Problem
from contract.codes import FAILURES, ErrorCode
from domain.errors import JobError

CONTENT_TYPE = "application/problem+json"
STATUS = {
    ErrorCode.INVALID_REQUEST: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.INVALID_OPTION: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.NOT_PERMITTED: HTTPStatus.FORBIDDEN,
    ErrorCode.NO_SUCH_JOB: HTTPStatus.NOT_FOUND,
    ErrorCode.NO_SUCH_OBJECT: HTTPStatus.NOT_FOUND,
    ErrorCode.NO_SUCH_UPLOAD: HTTPStatus.NOT_FOUND,
    ErrorCode.LIMIT_REACHED: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.TOO_MANY_CALLS: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.JOB_RUNNING: HTTPStatus.CONFLICT,
    ErrorCode.NOT_REUSABLE: HTTPStatus.CONFLICT,
    ErrorCode.RESULT_DAMAGED: HTTPStatus.CONFLICT,
    ErrorCode.UPLOAD_INCOMPLETE: HTTPStatus.CONFLICT,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def problem_of(error: JobError, job_id: str | None = None) -> Problem:
    """The problem details of a coded error. Its status is 422 unless STATUS names another."""
    return Problem(
        type=f"urn:spaceport:error:{error.code}",
        title=FAILURES[error.code].sentence,
        status=STATUS.get(error.code, HTTPStatus.UNPROCESSABLE_ENTITY),
        detail=error.message,
        code=error.code,
        hint=error.hint,
        job_id=job_id,
    )


def plain_problem(status: HTTPStatus, detail: str) -> Problem:
    """Problem details for errors that the HTTP status describes completely: unknown path, unknown method."""
    return Problem(type="about:blank", title=status.phrase, status=status, detail=detail)
