"""Stop a job on its customer's request."""

from __future__ import annotations

from contract.codes import ErrorCode
from domain.errors import JobError, RefusedRequest
from domain.executions import Executions
from domain.job import Camel


class Cancellation(Camel):
    """`stopping` is False for a job that had already ended; `status` is that of its execution before the call."""

    job_id: str
    status: str
    stopping: bool


class Canceller:
    """Ends only the execution. stop_job then receives the event that the execution has ended, stops the SageMaker job
    and publishes `Job Stopped`, about which notify sends one mail."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    def cancel(self, job_id: str) -> Cancellation:
        """Safe to repeat. Raises RefusedRequest(NO_SUCH_JOB), and botocore's ClientError for faults of AWS."""
        execution = self._executions.lookup(job_id)
        if execution is None:
            raise RefusedRequest(ErrorCode.NO_SUCH_JOB, job_id)
        if execution.running:
            stopped = JobError.of(ErrorCode.STOPPED)
            self._executions.abort(job_id, stopped.code, stopped.message)
        return Cancellation(job_id=job_id, status=execution.status, stopping=execution.running)
