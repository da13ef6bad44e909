"""Create the objects that the API's routes use, once per warm function, from its settings and clients."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache, partial

from api.service import Service
from api.sharing import Sharing
from api.uploads import Uploads
from api.webhooks import Webhooks
from domain.cancel import Canceller
from domain.clients import client, table
from domain.executions import Executions
from domain.expectation import Expectation
from domain.jobs_table import JobsTable
from domain.limits import Counters, JobLimits, OwnerLimits
from domain.links import Links
from domain.owner_spending import OwnerSpending
from domain.pace import PaceTable
from domain.post import post
from domain.rerun import Rerunner
from domain.stage_settings import MachineSettings, PriceSettings
from domain.starting import Starter
from domain.status import StatusBus
from domain.webhooks import Targets, WebhookTable


class ApiSettings(JobLimits, MachineSettings, PriceSettings):
    stack: str
    jobs_table: str
    status_bus: str
    pipeline_arn: str
    results_bucket: str
    source_buckets: str
    link_hours: int
    webhook_table: str
    webhook_targets: Targets
    limits_table: str
    pace_table: str

    @property
    def buckets(self) -> tuple[str, ...]:
        """Buckets that jobs may start from; uploads go to the first."""
        return tuple(name for name in self.source_buckets.split(",") if name)


def _now() -> datetime:
    return datetime.now(UTC)


@cache
def service() -> Service:
    settings = ApiSettings.read()
    s3, jobs = client("s3"), JobsTable(table(settings.jobs_table))
    limits = OwnerLimits(jobs, OwnerSpending(table(settings.limits_table)), settings)
    executions = Executions(client("stepfunctions"), settings.pipeline_arn)
    return Service(
        s3=s3,
        jobs=jobs,
        starter=Starter(s3, executions, jobs, StatusBus(client("events"), settings.status_bus), limits, settings.stack),
        canceller=Canceller(executions),
        rerunner=Rerunner(s3, executions, jobs, limits),
        limits=limits,
        links=Links(s3, settings.results_bucket, settings.link_hours * 3600),
        buckets=settings.buckets,
        clock=_now,
    )


@cache
def uploads() -> Uploads:
    return Uploads(client("s3"), ApiSettings.read().buckets[0], _now)


@cache
def sharing() -> Sharing:
    settings = ApiSettings.read()
    s3 = client("s3")
    links = Links(s3, settings.results_bucket, settings.link_hours * 3600)
    jobs = JobsTable(table(settings.jobs_table))
    return Sharing(s3, jobs, links, settings.buckets[0], settings.results_bucket, settings.stack, _now)


@cache
def expectation() -> Expectation:
    settings = ApiSettings.read()
    return Expectation(PaceTable(table(settings.pace_table)), settings.usual_types)


@cache
def webhooks() -> Webhooks:
    settings = ApiSettings.read()
    targets = settings.webhook_targets
    return Webhooks(WebhookTable(table(settings.webhook_table)), targets, partial(post, targets=targets), time.time)


@cache
def counters() -> Counters:
    return Counters(table(ApiSettings.read().limits_table))
