"""The HTTP API's routes. API Gateway has checked the token before a request comes here (docs/contracts.md)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext

from api.address import url_of
from api.body import body_problem
from api.caller import Caller, network_of
from api.models import (
    DeliveryList,
    Dollars,
    Estimates,
    JobId,
    JobList,
    JobView,
    NewShare,
    NewWebhook,
    RenameBody,
    RerunAnswer,
    RerunBody,
    SceneToken,
    ShareId,
    ShareList,
    ShareRequest,
    ShareToken,
    StartedJob,
    StartJobRequest,
    StopAnswer,
    TimeLeft,
    Upload,
    UploadId,
    UploadRequest,
    WebhookRequest,
    WebhookTest,
    WebhookView,
)
from api.openapi import problems, schema_of
from api.problem import CONTENT_TYPE, plain_problem
from api.refusals import REFUSALS, answer
from api.wiring import ApiSettings, counters, expectation, service, sharing, uploads, webhooks
from contract.codes import ErrorCode
from contract.counts import MAX_PHOTOS
from contract.options import MAX_NAME
from contract.stages import PipelineStep
from domain.errors import RefusedRequest
from domain.job import AnyCase, job_id_of
from domain.limits import MAX_CALLS_A_MINUTE
from domain.observability import logger, tracer

app = APIGatewayHttpResolver(enable_validation=True, strip_prefixes=[])
MAX_WEBHOOK_TESTS = 10  # per caller and minute: each is a call to a host of the caller's choice
WITHDRAWN = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Spaceport</title><h1>This link has ended</h1>'
    "<p>It has expired or was withdrawn. Ask whoever sent it to you for a new one.</p></html>"
)
ACCEPTED = HTTPStatus.ACCEPTED.value
CREATED = HTTPStatus.CREATED.value


def own_url() -> str:
    event = app.current_event
    return url_of(event.headers, event.request_context.domain_name)


def caller() -> Caller:
    claims = app.current_event.request_context.authorizer.jwt_claim
    return Caller.of(claims or {})


def count_call(app_: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[str]:
    """Limit each caller: an account or, on a route without a token, a network. API Gateway has only one limit for all
    callers together."""
    context = app_.current_event.request_context
    known = bool(context.authorizer.jwt_claim)
    who = caller().subject if known else f"without a token {network_of(context.http.source_ip)}"
    if counters().count(f"calls {who}", "minute") > MAX_CALLS_A_MINUTE:
        raise RefusedRequest(ErrorCode.TOO_MANY_CALLS)
    answered: Response[str] = next_middleware(app_)
    return answered


app.use([count_call])


@app.post("/start-job", status_code=ACCEPTED, tags=["jobs"], responses=problems(ACCEPTED, StartedJob, 403, 404, 415))
def start_job(request: Annotated[StartJobRequest, Body()]) -> StartedJob:
    """Start a job from a file in S3. One version of a file is one job, however often you request it."""
    return service().start(request, caller())


@app.get("/estimates", tags=["jobs"], responses=problems(200, Estimates))
def estimate_job(
    photos: Annotated[int | None, Query(ge=1, le=MAX_PHOTOS)] = None,
    pipeline_step: Annotated[PipelineStep, AnyCase, Query(alias="pipelineStep")] = PipelineStep.FULL,
) -> Estimates:
    """Estimate how long a job would take in each quality, and what its machines would cost, from how long earlier jobs
    took. It needs no upload."""
    ranges = expectation().of_each_quality(pipeline_step, photos, ApiSettings.read().prices)
    return Estimates(
        estimates={quality: TimeLeft(low=low, high=high) for quality, ((low, high), _) in ranges.items()},
        dollars={
            quality: Dollars(low=round(dollars[0], 2), high=round(dollars[1], 2))
            for quality, (_, dollars) in ranges.items()
            if dollars is not None
        },
    )


@app.post("/uploads", status_code=CREATED, tags=["uploads"], responses=problems(CREATED, Upload, 415))
def begin_upload(request: Annotated[UploadRequest, Body()]) -> Upload:
    """Begin an upload in parts. PUT each part to its link, then complete the upload."""
    service().check(request.email, caller())
    return uploads().begin(request, caller())


@app.get("/uploads/<upload_id>", tags=["uploads"], responses=problems(200, Upload, 404))
def look_at_upload(upload_id: Annotated[UploadId, Path()]) -> Upload:
    """Resume an upload. The answer lists the parts that have arrived, with links for the next 100 that have not."""
    return uploads().look(upload_id, caller())


@app.post("/uploads/<upload_id>/complete", tags=["uploads"], responses=problems(200, StartedJob, 404, 409))
def complete_upload(upload_id: Annotated[UploadId, Path()]) -> StartedJob:
    """Complete an upload and start its job. The job shows up at GET /jobs/{jobId} within seconds."""
    uploaded = uploads().complete(upload_id, caller())
    return StartedJob(job_id=job_id_of(uploaded, ApiSettings.read().stack), created=True)


@app.delete("/uploads/<upload_id>", status_code=204, tags=["uploads"], responses=problems(204, None, 404))
def abandon_upload(upload_id: Annotated[UploadId, Path()]) -> Response[str]:
    """Abort the upload and delete the parts that arrived."""
    uploads().abandon(upload_id, caller())
    return nothing()


@app.get("/jobs", tags=["jobs"], responses=problems(200, JobList))
def list_jobs(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    before: Annotated[str | None, Query(max_length=100, pattern=r"^\d{4}-\d{2}-\d{2}T[0-9:.+Z-]+~[a-z0-9-]+$")] = None,
    search: Annotated[str | None, Query(min_length=1, max_length=MAX_NAME)] = None,
) -> JobList:
    """List your jobs, the newest first. Pass `next` of an answer as `before` for older ones. `search` keeps those with
    this text in their names, in upper or lower case; a page of a search covers at most 500 jobs, so it may be empty and
    still have a `next`."""
    return service().list(caller(), limit, before, search)


@app.get("/jobs/<job_id>", tags=["jobs"], responses=problems(200, JobView, 404))
def look_at_job(job_id: Annotated[JobId, Path()]) -> JobView:
    """Get a job: its stage, progress, estimate and figures, and links to all files so far."""
    return service().look(job_id, caller(), own_url())


@app.post("/jobs/<job_id>/stop", status_code=ACCEPTED, tags=["jobs"], responses=problems(ACCEPTED, StopAnswer, 404))
def stop_job(job_id: Annotated[JobId, Path()]) -> StopAnswer:
    """Stop a job and the machine it runs on. A job that has ended is left as it is."""
    cancellation = service().stop(job_id, caller())
    return StopAnswer(job_id=job_id, stopping=cancellation.stopping)


@app.post(
    "/jobs/<job_id>/rerun",
    status_code=ACCEPTED,
    tags=["jobs"],
    responses=problems(ACCEPTED, RerunAnswer, 404, 409, 415),
)
def rerun_job(
    job_id: Annotated[JobId, Path()],
    body: Annotated[RerunBody, Body()],
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=100)] = None,
) -> RerunAnswer:
    """Run a job again from a stage on. The rerun is a job of its own and uses the output of the earlier stages."""
    rerun = service().rerun(job_id, body, idempotency_key, caller())
    return RerunAnswer(job_id=rerun.job_id, rerun_of=rerun.rerun_of, reused=list(rerun.reused))


@app.patch("/jobs/<job_id>", status_code=204, tags=["jobs"], responses=problems(204, None, 404, 415))
def rename_job(job_id: Annotated[JobId, Path()], body: Annotated[RenameBody, Body()]) -> Response[str]:
    """Give a scene another name."""
    sharing().rename(job_id, body.name, caller())
    return nothing()


@app.delete("/jobs/<job_id>", status_code=204, tags=["jobs"], responses=problems(204, None, 404, 409))
def delete_job(job_id: Annotated[JobId, Path()]) -> Response[str]:
    """Delete a job that has ended, and its files; deleting the last run of an upload also deletes the photos."""
    sharing().delete(job_id, caller())
    return nothing()


@app.post(
    "/jobs/<job_id>/shares", status_code=CREATED, tags=["shares"], responses=problems(CREATED, NewShare, 404, 415)
)
def share_job(job_id: Annotated[JobId, Path()], request: Annotated[ShareRequest, Body()]) -> NewShare:
    """Make a link that opens the scene without an account: GET /shared/{token}."""
    return sharing().share(job_id, request, caller())


@app.get("/jobs/<job_id>/shares", tags=["shares"], responses=problems(200, ShareList, 404))
def list_shares(job_id: Annotated[JobId, Path()]) -> ShareList:
    """List the links to a scene that were not withdrawn."""
    return ShareList(shares=sharing().shares(job_id, caller()))


@app.delete("/jobs/<job_id>/shares/<share_id>", status_code=204, tags=["shares"], responses=problems(204, None, 404))
def withdraw_share(job_id: Annotated[JobId, Path()], share_id: Annotated[ShareId, Path()]) -> Response[str]:
    """Withdraw a link. It no longer opens the scene."""
    sharing().withdraw(job_id, share_id, caller())
    return nothing()


@app.get("/shared/<token>", include_in_schema=False)
def open_shared(token: Annotated[ShareToken, Path()]) -> Response[str]:
    """Open the viewer for anyone who has the link, by a link that lasts hours; any page may show it in a frame."""
    url = sharing().opened(token, own_url())
    if url is None:
        return Response(status_code=HTTPStatus.NOT_FOUND.value, content_type="text/html; charset=utf-8", body=WITHDRAWN)
    headers = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status_code=HTTPStatus.FOUND.value, headers=headers, body="")


@app.get("/shared/<token>/lod-meta.json", include_in_schema=False, compress=True)
def stream_shared(token: Annotated[SceneToken, Path()]) -> Response[str]:
    """Get the manifest of a streamed scene, with links to its parts; call again when they expire.

    The token is a share's, or a ticket from another link to that page.
    """
    manifest = sharing().manifest(token)
    if manifest is None:
        return answer(plain_problem(HTTPStatus.NOT_FOUND, "This link has expired or was withdrawn."))
    body = json.dumps(manifest, separators=(",", ":"))
    return Response(HTTPStatus.OK.value, "application/json", body, headers={"Cache-Control": "no-store"})


@app.put("/webhook", tags=["webhook"], responses=problems(200, NewWebhook, 415))
def set_webhook(request: Annotated[WebhookRequest, Body()]) -> NewWebhook:
    """Set your webhook. Each call makes a new secret; for a day, calls are also signed with the previous one."""
    return webhooks().set(request, caller())


@app.get("/webhook", tags=["webhook"], responses=problems(200, WebhookView))
def look_at_webhook() -> WebhookView:
    """Get your webhook."""
    return webhooks().look(caller())


@app.delete("/webhook", status_code=204, tags=["webhook"], responses=problems(204, None))
def remove_webhook() -> Response[str]:
    """Delete your webhook."""
    webhooks().remove(caller())
    return nothing()


@app.post("/webhook/test", tags=["webhook"], responses=problems(200, WebhookTest, 429))
def try_webhook() -> WebhookTest:
    """Send a test event to your webhook. The answer says whether it was delivered; ten tests a minute."""
    if counters().count(f"webhook tests {caller().subject}", "minute") > MAX_WEBHOOK_TESTS:
        raise RefusedRequest(ErrorCode.TOO_MANY_CALLS)
    return webhooks().test(caller())


@app.get("/webhook/deliveries", tags=["webhook"], responses=problems(200, DeliveryList))
def list_deliveries() -> DeliveryList:
    """List the newest attempts to call your webhook. Failed attempts say why."""
    return webhooks().deliveries(caller())


@app.get("/openapi.json", include_in_schema=False)
def openapi() -> dict[str, Any]:
    """Get this description of the API. It needs no token."""
    return schema_of(app, OPERATIONS)


OPERATIONS = (
    start_job,
    estimate_job,
    begin_upload,
    look_at_upload,
    complete_upload,
    abandon_upload,
    list_jobs,
    look_at_job,
    stop_job,
    rerun_job,
    rename_job,
    delete_job,
    share_job,
    list_shares,
    withdraw_share,
    set_webhook,
    look_at_webhook,
    remove_webhook,
    try_webhook,
    list_deliveries,
)


def nothing() -> Response[str]:
    """Return an empty body instead of none, because not every hop to the caller can encode a missing body."""
    return Response(status_code=HTTPStatus.NO_CONTENT.value, body="")


for kind, refuse in REFUSALS.items():
    app.exception_handler(kind)(refuse)


@app.not_found
def not_found(_error: NotFoundError) -> Response[str]:
    event = app.current_event
    return answer(plain_problem(HTTPStatus.NOT_FOUND, f"There is no {event.http_method} {event.path}."))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    # not the path: a share's token, a ticket or an upload's id in it grants access by itself
    logger.info("request", route=event.get("routeKey"))
    problem = body_problem(event)
    if problem is not None:
        return {
            "statusCode": problem.status,
            "headers": {"Content-Type": CONTENT_TYPE},
            "body": problem.model_dump_json(by_alias=True, exclude_none=True),
        }
    return app.resolve(event, context)
