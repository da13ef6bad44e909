"""Send the mail about a job's start or outcome."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

from botocore.exceptions import ClientError

from contract.events import JOB_STATUS, StatusType
from domain.clients import AWS_FAULTS
from domain.job_item import JobItem, updates_for
from domain.jobs_table import JobsTable
from domain.limits import MAX_MAILS_A_DAY, MAX_START_MAILS_A_DAY, Counters
from domain.links import VIEWERS, Links
from domain.mailboxes import Closed, Mailbox, MailboxTable
from domain.observability import logger
from domain.results import read_bytes
from domain.status import StatusEvent
from domain.streaming import manifest_of
from notify.mail import OPEN, UNSUBSCRIBE, MailLinks, compose

# https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html
_ADDRESS_FAULT = re.compile(
    r"illegal address|invalid (domain|address|local)|domain (name )?(contains|is|ends)|address.*(contains|too long)",
    re.I,
)
# delivered name → label of the link; in this order
LINKED = {
    **dict.fromkeys(reversed(VIEWERS), OPEN),
    "scene.sog": "Download .sog",
    "scene.ply": "Download .ply",
    "scene.spz": "Download .spz",
    "products/orthophoto.tif": "Orthophoto",
    "products/quality.pdf": "Quality report",
    "report.html": "Report",
}


@dataclass(frozen=True)
class Sending:
    """`sender`: the From address, shown with `name`; `reply_to`: the address for answers, may be empty;
    `configuration_set`: SES's configuration set, which reports bounces; `page` and `api`: URLs."""

    sender: str
    name: str
    reply_to: str
    configuration_set: str
    page: str
    api: str


class Notifier:
    """`ses` is a boto3 SESv2 client; `expected` returns how long a job is likely to take, in words."""

    def __init__(
        self,
        jobs: JobsTable,
        mailboxes: MailboxTable,
        counters: Counters,
        s3: Any,
        ses: Any,
        links: Links,
        sending: Sending,
        expected: Callable[[JobItem], str | None],
    ) -> None:
        self._counters = counters
        self._jobs, self._mailboxes, self._s3, self._ses = jobs, mailboxes, s3, ses
        self._links, self._sending, self._expected = links, sending, expected

    @contextmanager
    def _counted(self, start: bool, address: str, owner: str | None) -> Iterator[bool]:
        """Count a mail; yield whether the address or the job's owner had already received all mails of the day of this
        kind (about starts or outcomes). A mail that is then not sent is not counted: the job's page shows the rest."""
        kind, most = ("start mails", MAX_START_MAILS_A_DAY) if start else ("mails", MAX_MAILS_A_DAY)
        subjects = [f"{kind} {address}", *([f"{kind} about {owner}"] if owner else [])]
        enough = max([self._counters.count(subject, "day") for subject in subjects]) > most
        try:
            yield enough
        except Exception:
            self._take_back(subjects)
            raise
        if enough:
            self._take_back(subjects)

    def _take_back(self, subjects: Sequence[str]) -> None:
        for subject in subjects:
            self._counters.take_back(subject, "day")

    def notify(self, event: StatusEvent) -> str | None:
        """Send the mail about an event. Returns SES's message id, or None if no mail is sent, for example because the
        address is missing or unsubscribed, or the outcome was superseded.

        A job may get two final events: the state machine's, and the clean-up's, if that ran before the first arrived.
        The first one that reaches the job's item is the outcome, and only that one is mailed.
        """
        ended = JOB_STATUS.get(event.type)
        item = self._jobs.find(event.detail.job_id)
        if item is None:  # the job was never recorded, so there is no address
            return None
        if ended is not None:
            self._jobs.apply(event.detail.job_id, updates_for(event))
            item = self._jobs.find(event.detail.job_id) or item
        address = item.email
        if not address:
            logger.info("no mail", why="the job has no address")
            return None
        if why := superseded(event, item):
            logger.info("no mail", why=why)
            return None
        mailbox = self._mailboxes.open(address)
        if mailbox.closed:
            logger.info("no mail", why=f"the mailbox is closed: {mailbox.closed}")
            return None
        message = self._message(event, item, address, mailbox)
        try:
            with self._counted(ended is None, mailbox.address, item.owner) as enough:
                if enough:
                    logger.info("no mail", why="the address or the owner had all mails of the day")
                    return None
                answer = self._ses.send_email(
                    FromEmailAddress=self._sending.sender,
                    Destination={"ToAddresses": [address]},
                    Content={"Raw": {"Data": message.as_bytes()}},
                    ConfigurationSetName=self._sending.configuration_set,
                )
        except ClientError as error:
            if not _refuses_address(error):
                raise
            logger.warning("SES refuses the address", job_id=event.detail.job_id, refusal=str(error))
            self._mailboxes.close(address, Closed.REFUSED, event.detail.at)
            return None
        self._note(event)
        message_id: str = answer["MessageId"]
        return message_id

    def _message(self, event: StatusEvent, item: JobItem, address: str, mailbox: Mailbox) -> EmailMessage:
        """The mail about an event, with signed links to the outputs and the headers of a mailing list."""
        outputs = {name: uri for name, uri in event.detail.outputs.items() if self._links.is_of_job(uri, item.job_id)}
        manifest = manifest_of(self._sending.api, item, self._links.until)
        signed = self._links.of_job(item.job_id, outputs, item.name, manifest)
        links = MailLinks(
            delivered={label: signed[name] for name, label in LINKED.items() if name in signed},
            hours=self._links.seconds // 3600,
            job=f"{self._sending.page}#job={event.detail.job_id}",
            stop=f"{self._sending.page}#unsubscribe={mailbox.reference}",
        )
        preview = read_bytes(self._s3, outputs["preview.png"]) if "preview.png" in outputs else None
        expected = self._expected(item) if event.type is StatusType.JOB_STARTED else None
        message = compose(event.type, item, event.detail, links, preview, expected)
        # an address object, because a header given as text would interpret encoded words and commas
        message["From"] = Address(self._sending.name, addr_spec=self._sending.sender)
        message["To"] = Address(addr_spec=address)
        if self._sending.reply_to:
            message["Reply-To"] = Address(addr_spec=self._sending.reply_to)
        # RFC 8058: the mail program's own button
        message[UNSUBSCRIBE] = f"<{self._sending.api}/unsubscribe/{mailbox.reference}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return message

    def _note(self, event: StatusEvent) -> None:
        """Record the mail a second time, besides the idempotency table: if one of the two writes fails, the mail is
        still not sent twice."""
        try:
            self._jobs.note_mail(event.detail.job_id, event.type)
        except AWS_FAULTS:
            logger.exception("mail sent but not recorded in the job's item", job_id=event.detail.job_id)


def superseded(event: StatusEvent, item: JobItem) -> str | None:
    """Why the event needs no mail any more; None if it needs one. Pure."""
    ended = JOB_STATUS.get(event.type)
    if event.type.value in item.mailed:
        return "it was sent already"
    if (ended is None and item.status in JOB_STATUS.values()) or (ended is not None and item.status != ended):
        return f"superseded: the job is {item.status}"
    return None


def _refuses_address(error: ClientError) -> bool:
    """Whether SES will never accept this address; in the sandbox, an unverified one may still be verified later."""
    fault = error.response["Error"]
    return fault["Code"] == "BadRequestException" and bool(_ADDRESS_FAULT.search(fault.get("Message", "")))
