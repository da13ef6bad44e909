"""Models of the API's requests and answers. Names are camelCase; unknown names in requests are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from contract.codes import ErrorCode
from contract.counts import MAX_UPLOAD_BYTES
from contract.options import MAX_NAME, Quality
from contract.stages import PipelineStep, Stage
from domain.job import AnyCase, Camel, Email, JobOptions, text_line
from domain.webhooks import Delivery

JobId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,39}$", description="As returned by POST /start-job")]
ShareId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$", description="As returned by GET /jobs/{jobId}/shares")]
ShareToken = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,39}\.[A-Za-z0-9_-]{32}$")]
SceneToken = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,39}\.([0-9]{10,12}\.)?[A-Za-z0-9_-]{32}$")]
UploadId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,2048}$", description="As returned by POST /uploads")]
JobStatus = Literal["STARTING", "RUNNING", "SUCCEEDED", "FAILED", "REJECTED", "STOPPED"]


Options = dict[str, str | Annotated[int, Field(strict=True)]]  # by name; strict: true in JSON is not a number


def _printable_line(text: str) -> str:
    line = text_line(text)
    if not line:
        raise ValueError("it has no printable character")
    return line


class StartJobRequest(Camel):
    """Start a job from a file in S3."""

    model_config = ConfigDict(extra="forbid")

    s3_url: Annotated[str, Field(min_length=6, max_length=2048, examples=["s3://my-bucket/flights/meadow.zip"])]
    email: Email | None = None
    pipeline_step: Annotated[PipelineStep, AnyCase] = PipelineStep.FULL
    options: Annotated[
        Options,
        Field(
            default_factory=dict, description="As on an upload: quality, name, project, customer, site, trainingSteps …"
        ),
    ]


class StartedJob(Camel):
    """`created` is false if this version of the file already has a job that was not rejected; `jobId` is then the id of
    that job."""

    job_id: str
    created: bool


class UploadRequest(JobOptions):
    """A file to upload, and its options. `options` are those of POST /start-job; they may also be given beside
    `fileName`, as in the first version of this API."""

    file_name: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f/\\]+$")]
    bytes: Annotated[int, Field(strict=True, ge=1, le=MAX_UPLOAD_BYTES)]
    options: Annotated[JobOptions | None, Field(exclude=True)] = None

    @model_validator(mode="before")
    @classmethod
    def _lift(cls, values: Any) -> Any:
        """Move the options beside the file's name; options that are already there take precedence."""
        if isinstance(values, dict) and isinstance(values.get("options"), dict):
            return {**values["options"], **values}
        return values


class PartLink(Camel):
    """PUT the bytes of the part to `url`; you do not need to keep the headers of the answer."""

    number: int
    url: str


class Upload(Camel):
    """An upload in progress. Part n (counted from 1) begins at byte (n - 1) * partBytes."""

    upload_id: str
    bytes: int
    part_bytes: int
    part_count: int
    received: list[int]
    links: list[PartLink]
    expires_at: datetime


class StageView(Camel):
    """`secondsLeft`: predicted time to the stage's end, for the running stage and those after it."""

    stage: Stage
    status: Literal["WAITING", "RUNNING", "SUCCEEDED", "FAILED", "REUSED"]
    progress: float
    message: str = ""
    attempt: int | None = None
    seconds_left: float | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    cost: dict[str, Any] | None = None


class ErrorView(Camel):
    code: ErrorCode
    message: str
    hint: str


class JobSummary(Camel):
    job_id: str
    name: str
    status: JobStatus
    stage: Stage | None
    progress: float
    uploaded_at: datetime
    rerun_of: str | None = None


class TimeLeft(Camel):
    """Seconds until the whole job is done: probably between these two."""

    low: float
    high: float


class Dollars(Camel):
    """What the machines of a job are likely to cost, at the prices on demand: the least and the most."""

    low: float
    high: float


class Estimates(Camel):
    """By quality, how long a job is likely to take from the end of its upload to its result, and what its machines cost
    the operator. The blocks of a large flight run side by side: more of them cost more and take no longer. No dollars
    where the price of a machine is not known."""

    estimates: dict[Quality, TimeLeft]
    dollars: dict[Quality, Dollars]


class JobView(JobSummary):
    """Links expire; call again for new ones. `secondsLeft` is an estimate and `timeLeft` its range."""

    pipeline_step: PipelineStep
    message: str
    seconds_left: float | None
    time_left: TimeLeft | None
    stages: list[StageView]
    metrics: dict[str, Any]
    cost: dict[str, Any] | None
    error: ErrorView | None
    links: dict[str, str]
    links_expire_at: datetime


class ListedJob(JobSummary):
    """`thumbnail`: a link to a picture of the scene, which expires; null until there is one."""

    thumbnail: str | None = None


class JobList(Camel):
    """`next`: pass it as `before` for older jobs; null on the last page."""

    jobs: list[ListedJob]
    next: str | None


class StopAnswer(Camel):
    """`stopping` is false if the job had already ended."""

    job_id: str
    stopping: bool


class RerunBody(Camel):
    """Run again from a stage on; `options` are those to change."""

    model_config = ConfigDict(extra="forbid")

    from_stage: Annotated[Stage, Field(alias="from")]
    options: Options = Field(default_factory=dict)


class RerunAnswer(Camel):
    job_id: str
    rerun_of: str
    reused: list[Stage]


class RenameBody(Camel):
    """A scene's new name. `name`: kept as one printable line, which may not be blank."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME), AfterValidator(_printable_line)]


class ShareRequest(Camel):
    """A link that opens a scene for anyone who has it. `label`: kept as one printable line, as names are; `days`: how
    long the link works; without it, until it is withdrawn."""

    model_config = ConfigDict(extra="forbid")

    label: Annotated[str, StringConstraints(max_length=MAX_NAME), AfterValidator(text_line)] = ""
    days: Annotated[int, Field(strict=True, ge=1, le=3650)] | None = None


class ShareView(Camel):
    share_id: str
    label: str
    created_at: datetime
    expires_at: datetime | None


class NewShare(ShareView):
    """`GET /shared/{token}` opens the scene. The token is not shown again."""

    token: str


class ShareList(Camel):
    shares: list[ShareView]


class WebhookRequest(Camel):
    """Where to call when a job is started, rejected, ready, failed or stopped."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(min_length=8, max_length=2048, examples=["https://example.com/spaceport"])]


class NewWebhook(Camel):
    """Keep the secret: it verifies the calls (standardwebhooks.com) and is not shown again. Until
    `previousSecretUntil` calls are signed with the secret before it as well."""

    url: str
    secret: str
    previous_secret_until: datetime | None = None


class WebhookView(Camel):
    """`url` is null if no webhook is set."""

    url: str | None


class WebhookTest(Camel):
    """Whether the URL answered 2xx to a call of type `Webhook Test`; otherwise `detail` says what happened."""

    message_id: str
    delivered: bool
    detail: str | None = None


class DeliveryList(Camel):
    """The newest 50 attempts to call your webhook, the newest first."""

    deliveries: list[Delivery]


class Problem(Camel):
    """RFC 9457. `code` is from the closed list of errors; `hint` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    code: ErrorCode | None = None
    hint: str | None = None
    job_id: str | None = None


class GatewayMessage(Camel):
    """What API Gateway answers when it refuses a request."""

    message: str
