"""The closed list of failures: the customer's sentence and hint for each, and what the pipeline does after it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from contract.counts import MAX_PHOTOS, MIN_PHOTOS


class ErrorCode(StrEnum):
    """Why a job, a stage or a request failed."""

    # the upload
    UNREADABLE = "UNREADABLE"
    NOT_A_ZIP = "NOT_A_ZIP"
    LOOSE_PHOTOS = "LOOSE_PHOTOS"
    EMPTY_ARCHIVE = "EMPTY_ARCHIVE"
    ENCRYPTED_ARCHIVE = "ENCRYPTED_ARCHIVE"
    UNSAFE_ARCHIVE = "UNSAFE_ARCHIVE"
    UNSUPPORTED_ARCHIVE = "UNSUPPORTED_ARCHIVE"
    ARCHIVE_TOO_LARGE = "ARCHIVE_TOO_LARGE"
    NO_PHOTOS = "NO_PHOTOS"
    UNSUPPORTED_PHOTOS = "UNSUPPORTED_PHOTOS"
    TOO_FEW_PHOTOS = "TOO_FEW_PHOTOS"
    TOO_MANY_PHOTOS = "TOO_MANY_PHOTOS"
    UPLOAD_GONE = "UPLOAD_GONE"
    UNREADABLE_FILM = "UNREADABLE_FILM"
    UNSUITABLE_FILM = "UNSUITABLE_FILM"
    PANORAMA = "PANORAMA"
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
    PLATFORM_FAULT = "PLATFORM_FAULT"
    NO_QUOTA = "NO_QUOTA"
    GPU_UNAVAILABLE = "GPU_UNAVAILABLE"
    STALLED = "STALLED"
    STAGE_TIMEOUT = "STAGE_TIMEOUT"
    BUDGET_SPENT = "BUDGET_SPENT"
    STOPPED = "STOPPED"
    # a request about a job
    NO_SUCH_JOB = "NO_SUCH_JOB"
    JOB_RUNNING = "JOB_RUNNING"
    LIMIT_REACHED = "LIMIT_REACHED"
    TOO_MANY_CALLS = "TOO_MANY_CALLS"
    NOT_REUSABLE = "NOT_REUSABLE"
    RESULT_DAMAGED = "RESULT_DAMAGED"
    INVALID_REQUEST = "INVALID_REQUEST"
    NOT_PERMITTED = "NOT_PERMITTED"
    NO_SUCH_OBJECT = "NO_SUCH_OBJECT"
    NO_SUCH_UPLOAD = "NO_SUCH_UPLOAD"
    UPLOAD_INCOMPLETE = "UPLOAD_INCOMPLETE"
    # ourselves
    INTERNAL = "INTERNAL"


# failures that an operator should look at: machines, AWS and our own code. The others follow from a customer's photos,
# options or decisions, and raise no alarm.
OPERATORS = frozenset(
    {
        ErrorCode.OUT_OF_MEMORY,
        ErrorCode.DISK_FULL,
        ErrorCode.CAPACITY,
        ErrorCode.THROTTLED,
        ErrorCode.INTERRUPTED,
        ErrorCode.PLATFORM_FAULT,
        ErrorCode.NO_QUOTA,
        ErrorCode.GPU_UNAVAILABLE,
        ErrorCode.STALLED,
        ErrorCode.STAGE_TIMEOUT,
        ErrorCode.RESULT_DAMAGED,
        ErrorCode.INTERNAL,
    }
)


class Then(Enum):
    """What the state machine does with a stage whose task failed."""

    FINAL = auto()  # nothing: the same again would fail the same way
    HALVE = auto()  # once more with half of the Gaussians, where the stage can do that; then final
    RESUME = auto()  # again, from the checkpoint
    WAIT = auto()  # again, later and later
    NEVER = auto()  # no task fails with it: it ends a job from outside, or refuses a request


@dataclass(frozen=True)
class Failure:
    """`sentence`: what happened, for the customer. `hint`: what to do about it."""

    sentence: str
    hint: str
    then: Then = Then.FINAL


# of uploads that structure from motion refuses: it leaves evidence of what became of each photo
EVIDENCED = frozenset(
    {
        ErrorCode.TOO_FEW_PHOTOS,
        ErrorCode.NO_FEATURES,
        ErrorCode.NO_OVERLAP,
        ErrorCode.DISCONNECTED,
        ErrorCode.LOW_REGISTRATION,
        ErrorCode.TIME_BUDGET,
    }
)

FAILURES: dict[ErrorCode, Failure] = {
    ErrorCode.UNREADABLE: Failure(
        "We are not allowed to read the file you sent.",
        "Upload it again, without encryption keys of your own and not in an archive storage class, or ask whoever"
        " set up the bucket to let us read it.",
    ),
    ErrorCode.NOT_A_ZIP: Failure(
        "The file is not a ZIP archive.",
        "Put the photos in a folder, compress the folder as a .zip (not .rar or .7z) and upload that file.",
    ),
    ErrorCode.LOOSE_PHOTOS: Failure(
        "The photos arrived one by one instead of in a ZIP, so we cannot tell which belong together.",
        "Put the photos of one flight in a folder, compress the folder as a .zip and upload that file.",
    ),
    ErrorCode.EMPTY_ARCHIVE: Failure(
        "The ZIP is empty.",
        "Check that the photos were copied from the drone's card, compress them again and upload the new ZIP.",
    ),
    ErrorCode.ENCRYPTED_ARCHIVE: Failure(
        "The ZIP is protected with a password, so we cannot read the photos.",
        "Compress the photos again without a password and upload the new ZIP.",
    ),
    ErrorCode.UNSAFE_ARCHIVE: Failure(
        "The ZIP contains file names that cannot be unpacked safely, so we did not open it.",
        "Compress just the folder of photos with your computer's own ZIP tool and upload the new ZIP.",
    ),
    ErrorCode.UNSUPPORTED_ARCHIVE: Failure(
        "The ZIP is packed in a way that we cannot read.",
        "Compress the photos again into one ZIP, with the ordinary method (Deflate) or without compression.",
    ),
    ErrorCode.ARCHIVE_TOO_LARGE: Failure(
        "The ZIP would unpack to far more data than photos can hold.",
        "Upload a ZIP that holds only the photos; split very large flights into several uploads.",
    ),
    ErrorCode.NO_PHOTOS: Failure(
        "There are no photos in the ZIP.",
        "Upload a ZIP with JPEG, PNG, TIFF, WebP, HEIC or DNG photos; ZIPs inside the ZIP are not opened.",
    ),
    ErrorCode.UNSUPPORTED_PHOTOS: Failure(
        "The photos are in a format that we cannot read.",
        "Export them as JPEG (or PNG, TIFF, WebP, HEIC, DNG); a film as MP4 or MOV.",
    ),
    ErrorCode.TOO_FEW_PHOTOS: Failure(
        "There are too few usable photos to work out the shape of the place.",
        f"Send at least {MIN_PHOTOS} photos that overlap; 20 or more, each sharing most of its view with the next, "
        "work best.",
    ),
    ErrorCode.TOO_MANY_PHOTOS: Failure(
        "There are more photos than one job can take.",
        f"Split the flight into several ZIPs of at most {MAX_PHOTOS:,} photos each.",
    ),
    ErrorCode.UPLOAD_GONE: Failure(
        "The upload was deleted or replaced before the job began.",
        "Upload the ZIP again, under a name that no other upload uses.",
    ),
    ErrorCode.UNREADABLE_FILM: Failure(
        "We cannot read the film.",
        "Check that it plays to its end on your computer; copy it from the card again, or export it as MP4 (H.264 or "
        "HEVC).",
    ),
    ErrorCode.UNSUITABLE_FILM: Failure(
        "No scene can be made from this film: it is too short, too long or too small, or its camera hardly moves.",
        "Film for 20 seconds to 20 minutes in full HD or more, flying slowly around or over the place.",
    ),
    ErrorCode.PANORAMA: Failure(
        "The photos or the film are in a 360° format, which we cannot process.",
        "Export ordinary flat views from the camera's own app, or fly with an ordinary lens, and upload those.",
    ),
    ErrorCode.INVALID_OPTION: Failure(
        "One of the settings sent with the upload is unknown or out of range.",
        "Correct the setting named above and upload again.",
    ),
    ErrorCode.INVALID_SCENE: Failure(
        "The camera positions and pictures needed for training are missing or damaged.",
        "Start again from the photos (pipelineStep full), or upload a ZIP of images/ and COLMAP's sparse/0/, "
        "of undistorted photos.",
    ),
    ErrorCode.INVALID_SPLAT: Failure(
        "The file is not a Gaussian splat that we can read.",
        "Upload the .ply (or .spz, .sog, .splat) that 3D Gaussian splatting tools export, on its own or as the only "
        "splat in a ZIP.",
    ),
    ErrorCode.NO_FEATURES: Failure(
        "The photos show too little detail to tell where they were taken.",
        "Check that they are sharp and well lit; water, snow, fog and bare walls alone do not work.",
    ),
    ErrorCode.NO_OVERLAP: Failure(
        "The photos do not overlap enough to be matched with each other.",
        "Fly so that each photo shares 70 to 80 percent of its view with its neighbours, and send one place per ZIP.",
    ),
    ErrorCode.DISCONNECTED: Failure(
        "The photos show separate places with no view in common, and none of these places has half of the photos.",
        "Send one place per ZIP, or add photos that lead from one place to the other with 70 percent overlap.",
    ),
    ErrorCode.LOW_REGISTRATION: Failure(
        "We could match fewer than half of your photos.",
        "Send one place per ZIP with more overlap between neighbouring photos; leave out blurred ones.",
    ),
    ErrorCode.GPS_UNRELIABLE: Failure(
        "The photos' GPS positions contradict the photos, so the scene has no true scale, orientation or location.",
        "Wait for a good satellite fix before take-off, keep the photos' EXIF data, or add a gcp_list.txt to the ZIP.",
    ),
    ErrorCode.TIME_BUDGET: Failure(
        "Working out the camera positions took longer than allowed.",
        "Send fewer or smaller photos, or split the flight into several ZIPs.",
    ),
    ErrorCode.TRAINING_DIVERGED: Failure(
        "Training failed to converge and produced no usable scene.",
        "Sharper photos with more overlap usually help; if yours are sharp and overlap well, contact support.",
    ),
    ErrorCode.LOW_QUALITY: Failure(
        "The 3D scene is not good enough to deliver.",
        "Send sharper photos with more overlap, from several heights and directions.",
    ),
    ErrorCode.OUT_OF_MEMORY: Failure(
        "The scene is too large for the machine it ran on.",
        "Send fewer photos or set a smaller maxGaussians.",
        Then.HALVE,
    ),
    ErrorCode.DISK_FULL: Failure(
        "The scene is too large for the disk of the machine it ran on.",
        "Send fewer photos, or split the flight into several ZIPs.",
    ),
    ErrorCode.CAPACITY: Failure(
        "No machine was free for the job for a long time.",
        "Nothing is wrong with your photos: upload the ZIP again later.",
        Then.WAIT,
    ),
    ErrorCode.THROTTLED: Failure(
        "Too many jobs were started at once.",
        "Nothing is wrong with your photos: upload the ZIP again in a few minutes.",
        Then.WAIT,
    ),
    ErrorCode.INTERRUPTED: Failure(
        "The machine working on your scene was taken away several times.",
        "Nothing is wrong with your photos: upload the ZIP again.",
        Then.RESUME,
    ),
    ErrorCode.PLATFORM_FAULT: Failure(
        "The cloud service that runs our machines failed several times.",
        "Nothing is wrong with your photos: upload the ZIP again.",
        Then.RESUME,
    ),
    ErrorCode.NO_QUOTA: Failure(
        "The kind of machine that the job needs is not enabled here.",
        "Nothing is wrong with your photos: ask the operator to raise the quota named above, then upload again.",
    ),
    ErrorCode.GPU_UNAVAILABLE: Failure(
        "The machine's GPU could not be used.",
        "Nothing is wrong with your photos: contact support.",
    ),
    ErrorCode.STALLED: Failure(
        "The job stopped making progress, so we ended it.",
        "Run the job again; if it happens twice, contact support.",
    ),
    ErrorCode.STAGE_TIMEOUT: Failure(
        "The job took longer than allowed, so we ended it.",
        "Send fewer photos, or choose a quicker quality.",
    ),
    ErrorCode.BUDGET_SPENT: Failure(
        "The job reached the cost limit for one job, so we ended it.",
        "Send fewer photos or choose a quicker quality, or ask the operator for a larger budget.",
    ),
    ErrorCode.STOPPED: Failure(
        "The job was stopped on request.",
        "Run it again whenever you like: what was finished is kept, and no new upload is needed.",
        Then.NEVER,
    ),
    ErrorCode.NO_SUCH_JOB: Failure(
        "There is no such job.",
        "Check the job's id; jobs that ended more than 90 days ago cannot be stopped or run again.",
        Then.NEVER,
    ),
    ErrorCode.LIMIT_REACHED: Failure(
        "You have reached your job limit for now.",
        "Wait until a job has ended, or until tomorrow (UTC); the operator can raise the limits.",
        Then.NEVER,
    ),
    ErrorCode.TOO_MANY_CALLS: Failure(
        "You are sending requests too quickly.",
        "Wait a minute, and query a running job at most every two seconds.",
        Then.NEVER,
    ),
    ErrorCode.JOB_RUNNING: Failure(
        "The job is running already.",
        "Wait until it has ended, or stop it first.",
        Then.NEVER,
    ),
    ErrorCode.NOT_REUSABLE: Failure(
        "The job cannot be run again from there.",
        "Run it again from an earlier stage, or upload the photos again.",
        Then.NEVER,
    ),
    ErrorCode.RESULT_DAMAGED: Failure(
        "An earlier result has changed or been deleted.",
        "Run the job again from an earlier stage, or upload the photos again.",
    ),
    ErrorCode.INVALID_REQUEST: Failure(
        "The request is invalid.",
        "Compare it with /openapi.json.",
        Then.NEVER,
    ),
    ErrorCode.NOT_PERMITTED: Failure(
        "Jobs cannot start from this bucket.",
        "Upload the file with POST /uploads, or ask the operator to permit the bucket.",
        Then.NEVER,
    ),
    ErrorCode.NO_SUCH_OBJECT: Failure(
        "There is no such file in the bucket.",
        "Check the URL; bucket and key are case-sensitive. The file must be yours: uploaded by you, or its "
        "metadata must name you as its owner or by your e-mail address.",
        Then.NEVER,
    ),
    ErrorCode.NO_SUCH_UPLOAD: Failure(
        "There is no such upload, or it has ended.",
        "Begin a new one with POST /uploads; an unfinished upload is deleted after seven days.",
        Then.NEVER,
    ),
    ErrorCode.UPLOAD_INCOMPLETE: Failure(
        "Parts of the upload have not arrived.",
        "GET the upload to receive links for the missing parts, send these parts and complete the upload again.",
        Then.NEVER,
    ),
    ErrorCode.INTERNAL: Failure(
        "Something went wrong on our side.",
        "Run the job again; if it happens twice, contact support.",
    ),
}


def failures_then(*then: Then) -> tuple[ErrorCode, ...]:
    """The failures that the state machine treats in one of these ways."""
    return tuple(code for code, failure in FAILURES.items() if failure.then in then)
