"""The closed list of errors: what each means to the pipeline (retry or not) and to the customer (what to do)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel


class ErrorCode(StrEnum):
    # the upload
    NOT_A_ZIP = "NOT_A_ZIP"
    EMPTY_ARCHIVE = "EMPTY_ARCHIVE"
    ENCRYPTED_ARCHIVE = "ENCRYPTED_ARCHIVE"
    UNSAFE_ARCHIVE = "UNSAFE_ARCHIVE"
    ARCHIVE_TOO_LARGE = "ARCHIVE_TOO_LARGE"
    NO_PHOTOS = "NO_PHOTOS"
    UNSUPPORTED_PHOTOS = "UNSUPPORTED_PHOTOS"
    TOO_FEW_PHOTOS = "TOO_FEW_PHOTOS"
    TOO_MANY_PHOTOS = "TOO_MANY_PHOTOS"
    INVALID_OPTION = "INVALID_OPTION"
    INVALID_SCENE = "INVALID_SCENE"
    INVALID_SPLAT = "INVALID_SPLAT"
    # the photos
    NO_FEATURES = "NO_FEATURES"
    NO_OVERLAP = "NO_OVERLAP"
    DISCONNECTED = "DISCONNECTED"
    LOW_REGISTRATION = "LOW_REGISTRATION"
    GPS_UNRELIABLE = "GPS_UNRELIABLE"
    TIME_BUDGET = "TIME_BUDGET"
    TRAINING_DIVERGED = "TRAINING_DIVERGED"
    LOW_QUALITY = "LOW_QUALITY"
    # the machines
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DISK_FULL = "DISK_FULL"
    CAPACITY = "CAPACITY"
    THROTTLED = "THROTTLED"
    INTERRUPTED = "INTERRUPTED"
    STALLED = "STALLED"
    STAGE_TIMEOUT = "STAGE_TIMEOUT"
    BUDGET_SPENT = "BUDGET_SPENT"
    STOPPED = "STOPPED"
    # a request about a job
    NO_SUCH_JOB = "NO_SUCH_JOB"
    JOB_RUNNING = "JOB_RUNNING"
    NOT_REUSABLE = "NOT_REUSABLE"
    RESULT_DAMAGED = "RESULT_DAMAGED"
    INVALID_REQUEST = "INVALID_REQUEST"
    NOT_PERMITTED = "NOT_PERMITTED"
    NO_SUCH_OBJECT = "NO_SUCH_OBJECT"
    NO_SUCH_UPLOAD = "NO_SUCH_UPLOAD"
    UPLOAD_INCOMPLETE = "UPLOAD_INCOMPLETE"
    # ourselves
    INTERNAL = "INTERNAL"


@dataclass(frozen=True)
class ErrorKind:
    """`sentence`: what happened, for the customer. `hint`: what to do about it. `retry`: worth the same again."""

    sentence: str
    hint: str
    retry: bool = False


CATALOGUE: dict[ErrorCode, ErrorKind] = {
    ErrorCode.NOT_A_ZIP: ErrorKind(
        "The file you sent is not a ZIP archive.",
        "Put the photos in a folder, compress the folder as a .zip (not .rar or .7z) and upload that file.",
    ),
    ErrorCode.EMPTY_ARCHIVE: ErrorKind(
        "The ZIP is empty.",
        "Check that the photos were copied from the drone's card, compress them again and upload the new ZIP.",
    ),
    ErrorCode.ENCRYPTED_ARCHIVE: ErrorKind(
        "The ZIP is protected with a password, so we cannot read the photos.",
        "Compress the photos again without a password and upload the new ZIP.",
    ),
    ErrorCode.UNSAFE_ARCHIVE: ErrorKind(
        "The ZIP holds file names that point outside its own folder, so we did not open it.",
        "Compress just the folder of photos with your computer's own ZIP tool and upload the new ZIP.",
    ),
    ErrorCode.ARCHIVE_TOO_LARGE: ErrorKind(
        "The ZIP would unpack to far more than photos can take.",
        "Upload a ZIP that holds only the photos; split very large flights into several uploads.",
    ),
    ErrorCode.NO_PHOTOS: ErrorKind(
        "There are no photos in the ZIP.",
        "Upload a ZIP with JPEG, PNG, TIFF, WebP, HEIC or DNG photos; ZIPs inside the ZIP are not opened.",
    ),
    ErrorCode.UNSUPPORTED_PHOTOS: ErrorKind(
        "The photos are in a format that we cannot read.",
        "Export them as JPEG (or PNG, TIFF, WebP, HEIC, DNG); from a video, export still frames first.",
    ),
    ErrorCode.TOO_FEW_PHOTOS: ErrorKind(
        "There are too few usable photos to work out the shape of the place.",
        "Send at least 5 photos that overlap; 20 or more, each sharing most of its view with the next, work best.",
    ),
    ErrorCode.TOO_MANY_PHOTOS: ErrorKind(
        "There are more photos than one job can take.",
        "Split the flight into several ZIPs of at most 5,000 photos each.",
    ),
    ErrorCode.INVALID_OPTION: ErrorKind(
        "One of the settings sent with the upload is not known or out of range.",
        "Correct the setting named above and upload again.",
    ),
    ErrorCode.INVALID_SCENE: ErrorKind(
        "The camera positions and pictures needed for training are missing or damaged.",
        "Start again from the photos (pipelineStep full), or upload a ZIP of images/ and COLMAP's sparse/0/.",
    ),
    ErrorCode.INVALID_SPLAT: ErrorKind(
        "The file is not a Gaussian splat that we can read.",
        "Upload the .ply that 3D Gaussian splatting tools export, on its own or as the only .ply in a ZIP.",
    ),
    ErrorCode.NO_FEATURES: ErrorKind(
        "The photos show too little detail to tell where they were taken.",
        "Check that they are sharp and well lit; water, snow, fog and bare walls alone do not work.",
    ),
    ErrorCode.NO_OVERLAP: ErrorKind(
        "The photos do not overlap, so they cannot be put together.",
        "Fly so that each photo shares 70 to 80 percent of its view with its neighbours, and send one place per ZIP.",
    ),
    ErrorCode.DISCONNECTED: ErrorKind(
        "The photos show separate places that share no view, and none of them has half of the photos.",
        "Send one place per ZIP, or fly photos that lead from one place to the other with 70 percent of overlap.",
    ),
    ErrorCode.LOW_REGISTRATION: ErrorKind(
        "Fewer than half of the photos could be put together.",
        "Send one place per ZIP with more overlap between neighbouring photos; leave out blurred ones.",
    ),
    ErrorCode.GPS_UNRELIABLE: ErrorKind(
        "The GPS positions in the photos contradict the photos, so the scene has no true scale, north or place.",
        "Wait for a good satellite fix before take-off, keep the photos' EXIF data, or add a gcp_list.txt to the ZIP.",
    ),
    ErrorCode.TIME_BUDGET: ErrorKind(
        "Working out the camera positions took longer than allowed.",
        "Send fewer or smaller photos, or split the flight into several ZIPs.",
    ),
    ErrorCode.TRAINING_DIVERGED: ErrorKind(
        "The 3D scene did not settle.",
        "Reply to this mail so that we can look at it; sharper photos with more overlap usually help.",
    ),
    ErrorCode.LOW_QUALITY: ErrorKind(
        "The 3D scene is not good enough to deliver.",
        "Send sharper photos with more overlap, from several heights and directions.",
    ),
    ErrorCode.OUT_OF_MEMORY: ErrorKind(
        "The scene is too large for the machine it ran on.",
        "Send fewer photos or set a smaller maxGaussians.",
    ),
    ErrorCode.DISK_FULL: ErrorKind(
        "The scene is too large for the disk of the machine it ran on.",
        "Send fewer photos, or split the flight into several ZIPs.",
    ),
    ErrorCode.CAPACITY: ErrorKind(
        "There was no free machine for the job for a long time.",
        "Nothing is wrong with your photos: upload the ZIP again later.",
        retry=True,
    ),
    ErrorCode.THROTTLED: ErrorKind(
        "Too many jobs were started at once.",
        "Nothing is wrong with your photos: upload the ZIP again in a few minutes.",
        retry=True,
    ),
    ErrorCode.INTERRUPTED: ErrorKind(
        "The machine working on your scene was taken away several times.",
        "Nothing is wrong with your photos: upload the ZIP again.",
        retry=True,
    ),
    ErrorCode.STALLED: ErrorKind(
        "The job stopped making progress, so we ended it.",
        "Upload the ZIP again; if it happens twice, reply to this mail.",
    ),
    ErrorCode.STAGE_TIMEOUT: ErrorKind(
        "The job took longer than allowed, so we ended it.",
        "Send fewer photos, or choose a quicker quality.",
    ),
    ErrorCode.BUDGET_SPENT: ErrorKind(
        "The job used up the money that one job may cost, so we ended it.",
        "Send fewer photos or choose a quicker quality, or ask the operator for a larger budget.",
    ),
    ErrorCode.STOPPED: ErrorKind(
        "The job was stopped on request.",
        "Upload the ZIP again whenever you like.",
    ),
    ErrorCode.NO_SUCH_JOB: ErrorKind(
        "There is no such job.",
        "Check the job's id; jobs that ended more than 90 days ago cannot be stopped or run again.",
    ),
    ErrorCode.JOB_RUNNING: ErrorKind(
        "The job is running already.",
        "Wait until it has ended, or stop it first.",
    ),
    ErrorCode.NOT_REUSABLE: ErrorKind(
        "The job cannot be run again from there.",
        "Run it again from an earlier stage, or upload the photos again.",
    ),
    ErrorCode.RESULT_DAMAGED: ErrorKind(
        "What an earlier stage left is no longer as it was.",
        "Run the job again from an earlier stage, or upload the photos again.",
    ),
    ErrorCode.INVALID_REQUEST: ErrorKind(
        "The request is not as the API expects it.",
        "Compare it with /openapi.json.",
    ),
    ErrorCode.NOT_PERMITTED: ErrorKind(
        "This file is not yours to use, or its bucket is not one that jobs may start from.",
        "Upload the file by POST /uploads, or ask the operator to permit the bucket.",
    ),
    ErrorCode.NO_SUCH_OBJECT: ErrorKind(
        "There is no such file in the bucket.",
        "Check the URL; bucket and key are case-sensitive.",
    ),
    ErrorCode.NO_SUCH_UPLOAD: ErrorKind(
        "There is no such upload, or it has ended.",
        "Begin a new one by POST /uploads; one that nothing came for is given up after seven days.",
    ),
    ErrorCode.UPLOAD_INCOMPLETE: ErrorKind(
        "Parts of the upload have not arrived.",
        "GET the upload for links to the missing parts, send them and complete it again.",
    ),
    ErrorCode.INTERNAL: ErrorKind(
        "Something went wrong on our side.",
        "Upload the ZIP again; if it happens twice, reply to this mail.",
    ),
}

RETRYABLE = tuple(code for code, kind in CATALOGUE.items() if kind.retry)


class JobError(BaseModel):
    """An error as status events, the jobs table and mails carry it. `message` has the facts, `hint` what to do."""

    code: ErrorCode
    message: str
    hint: str

    @classmethod
    def of(cls, code: ErrorCode, facts: str = "") -> JobError:
        kind = CATALOGUE[code]
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
