"""Decide the outcome of a stage whose task failed, by asking SageMaker, or of one whose blocks have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import RootModel

from domain.clients import client, table
from domain.compute import Compute
from domain.observability import log_faults, logger, tracer
from domain.reporting import StageReporter
from domain.stage_runs import StageRuns
from domain.stage_settings import StageSettings
from settle_stage.join import Joiner
from settle_stage.settle import Reconciler, SettleRequest
from settle_stage.weigh import WeighRequest

WORKERS = 8  # parallel copies; S3 copies each of them in parts


class Request(RootModel[WeighRequest | SettleRequest]):
    """A request of one of two states: about a task that failed, or about a large flight's blocks."""


@cache
def joiner() -> Joiner:
    return Joiner(client("s3"), StageSettings.read().results_bucket, each=in_parallel)


def in_parallel(copy: Callable[[tuple[str, str]], None], copies: Iterable[tuple[str, str]]) -> Iterator[None]:
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from pool.map(copy, copies)


@cache
def reconciler() -> Reconciler:
    settings = StageSettings.read()
    runs = StageRuns(table(settings.stage_runs_table))
    compute = Compute(client("sagemaker"))
    reporter = StageReporter(settings.platform, runs, compute, client("s3"), client("stepfunctions"))
    return Reconciler(runs, compute, reporter)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@event_parser(model=Request)
def handler(event: Request, context: LambdaContext) -> dict[str, Any]:
    request = event.root
    logger.append_keys(job_id=request.job_id)
    if isinstance(request, WeighRequest):
        settlement = joiner().weigh(request)
        logger.info("blocks weighed", kept=sorted(request.kept), lost=request.lost)
    else:
        logger.append_keys(stage=request.stage, block=request.block)
        settlement = reconciler().reconcile(request)
        logger.info("task failed", failure=request.failure.model_dump())
    logger.info(
        "stage reconciled", succeeded=settlement.succeeded, error=settlement.error and settlement.error.model_dump()
    )
    return settlement.model_dump(mode="json", by_alias=True)
