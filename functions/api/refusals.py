"""Turn the exceptions of a request into the problem details that the caller receives."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from api.models import Problem
from api.problem import CONTENT_TYPE, problem_of
from api.service import RejectedJob
from contract.codes import ErrorCode
from domain.errors import JobError, RefusedRequest, RejectedUpload
from domain.observability import logger


def answer(problem: Problem) -> Response[str]:
    body = problem.model_dump_json(by_alias=True, exclude_none=True)
    return Response(status_code=problem.status, content_type=CONTENT_TYPE, body=body)


def refused(error: RefusedRequest) -> Response[str]:
    return answer(problem_of(error.error))


def rejected_upload(error: RejectedUpload) -> Response[str]:
    return answer(problem_of(error.error))


def rejected_job(error: RejectedJob) -> Response[str]:
    return answer(problem_of(error.error, error.job_id))


_SAID = {"extra_forbidden": "there is no such field"}  # replaces pydantic's own message


def invalid_request(error: RequestValidationError) -> Response[str]:
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'])}: {_SAID.get(fault['type'], fault['msg'])}"
        for fault in error.errors()
    )
    return answer(problem_of(JobError.of(ErrorCode.INVALID_REQUEST, faults)))


def undecodable(_error: UnicodeDecodeError) -> Response[str]:
    return answer(problem_of(JobError.of(ErrorCode.INVALID_REQUEST, "the body is not UTF-8")))


def unforeseen(_error: Exception) -> Response[str]:
    logger.exception("request failed")
    return answer(problem_of(JobError.of(ErrorCode.INTERNAL)))


REFUSALS = {
    RefusedRequest: refused,
    RejectedUpload: rejected_upload,
    RejectedJob: rejected_job,
    RequestValidationError: invalid_request,
    UnicodeDecodeError: undecodable,
    Exception: unforeseen,
}
