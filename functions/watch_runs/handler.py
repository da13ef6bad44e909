"""Every minute: keep the tasks of runs that wait for a machine alive, and ask SageMaker about runs without news."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import islice
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.typing import LambdaContext

from domain.clients import client, table
from domain.compute import Compute
from domain.event_bridge import ServiceEvent
from domain.executions import Executions
from domain.observability import log_faults, logger, metrics, tracer
from domain.owner_spending import OwnerSpending
from domain.reporting import StageReporter
from domain.spending import Bills, DailySpending
from domain.stage_runs import StageRuns
from domain.stage_settings import StageSettings
from domain.stages import StageRun
from watch_runs.watch import Look, Looked, Watcher

WORKERS = 10  # as many as botocore has connections per client
MIN_MILLISECONDS = 15_000  # of the function's time that must remain to finish the calls that have begun


class WatchRunsSettings(StageSettings):
    pipeline_arn: str
    limits_table: str
    capacity_wait_minutes: float


def in_parallel(look: Callable[[StageRun], Looked], runs: Iterable[StageRun]) -> Iterator[Looked]:
    """Check runs in parallel, page by page, so that the remaining time is checked between pages."""
    recorder: Any = tracer.provider  # X-Ray stores the current segment per thread
    segment = recorder.get_trace_entity()

    def traced(run: StageRun) -> Looked:
        recorder.set_trace_entity(segment)
        return look(run)

    with ThreadPoolExecutor(WORKERS) as pool:
        rest = iter(runs)
        while page := list(islice(rest, 10 * WORKERS)):
            yield from pool.map(traced, page)


@cache
def watcher() -> Watcher:
    settings = WatchRunsSettings.read()
    runs, compute = StageRuns(table(settings.stage_runs_table)), Compute(client("sagemaker"))
    stepfunctions = client("stepfunctions")
    reporter = StageReporter(settings.platform, runs, compute, client("s3"), stepfunctions)
    executions = Executions(stepfunctions, settings.pipeline_arn)
    spending, owners = DailySpending(table(settings.limits_table)), OwnerSpending(table(settings.limits_table))
    bills = Bills(runs, spending, owners, settings.prices)
    return Watcher(
        runs,
        reporter,
        executions,
        compute,
        bills,
        settings.platform,
        60 * settings.capacity_wait_minutes,
        each=in_parallel,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
@log_faults
@metrics.log_metrics
@event_parser(model=ServiceEvent)
def handler(event: ServiceEvent, context: LambdaContext) -> dict[str, Any]:
    round_ = watcher().look_round(lambda: context.get_remaining_time_in_millis() > MIN_MILLISECONDS)
    looks = Counter(looked.look for looked in round_)
    longest_wait = max((looked.waited for looked in round_), default=0.0) / 3600
    not_looked_at = looks[Look.FAULT] + looks[Look.LEFT_OVER]
    metrics.add_metric(name="RunsNotLookedAt", unit=MetricUnit.Count, value=not_looked_at)
    metrics.add_metric(name="RunsWaiting", unit=MetricUnit.Count, value=looks[Look.ALIVE])
    metrics.add_metric(name="LongestWaitHours", unit=MetricUnit.NoUnit, value=round(longest_wait, 2))
    if looks:
        logger.info("runs checked", looks={look.value: number for look, number in looks.items()})
    return {look.value: number for look, number in looks.items()}
