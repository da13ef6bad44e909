"""The closed list of warnings: the customer's sentence and hint for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contract.blocks import MIN_BLOCK_PHOTOS


class WarningCode(StrEnum):
    """What a customer should know of a scene that was made all the same."""

    # the upload
    UNKNOWN_SETTING = "UNKNOWN_SETTING"
    # the photos
    PHOTOS_SKIPPED = "PHOTOS_SKIPPED"
    PHOTOS_NOT_REGISTERED = "PHOTOS_NOT_REGISTERED"
    PHOTOS_BLURRED = "PHOTOS_BLURRED"
    SECOND_IMAGES = "SECOND_IMAGES"
    NESTED_ARCHIVES = "NESTED_ARCHIVES"
    LOW_REGISTRATION = "LOW_REGISTRATION"
    FILMS_LEFT_OUT = "FILMS_LEFT_OUT"
    FILM_DAMAGED = "FILM_DAMAGED"
    TELEMETRY_DAMAGED = "TELEMETRY_DAMAGED"
    TIME_BUDGET = "TIME_BUDGET"
    # the place
    NOT_GEOREFERENCED = "NOT_GEOREFERENCED"
    GPS_UNRELIABLE = "GPS_UNRELIABLE"
    GPS_OUTLIERS = "GPS_OUTLIERS"
    ALTITUDE_UNRELIABLE = "ALTITUDE_UNRELIABLE"
    LENS_UNFITTED = "LENS_UNFITTED"
    ROLLING_SHUTTER = "ROLLING_SHUTTER"
    CONTROL_POINTS_UNUSED = "CONTROL_POINTS_UNUSED"
    CONTROL_POINT_OUTLIERS = "CONTROL_POINT_OUTLIERS"
    # the scene
    SMALLER_MODELS = "SMALLER_MODELS"
    MASKS_UNUSED = "MASKS_UNUSED"
    INVALID_GAUSSIANS = "INVALID_GAUSSIANS"
    HIGHER_DEGREES_DROPPED = "HIGHER_DEGREES_DROPPED"
    GAUSSIANS_CAPPED = "GAUSSIANS_CAPPED"
    DAMAGED_CHECKPOINT = "DAMAGED_CHECKPOINT"
    FEWER_BLOCKS = "FEWER_BLOCKS"
    BLOCK_MISSING = "BLOCK_MISSING"
    SCENE_REDUCED = "SCENE_REDUCED"
    TRANSPARENT_GAUSSIANS = "TRANSPARENT_GAUSSIANS"
    OUTLIER_GAUSSIANS = "OUTLIER_GAUSSIANS"
    TARGET_MISSED = "TARGET_MISSED"
    # the survey
    PRODUCTS_MISSING = "PRODUCTS_MISSING"
    LOGO_UNUSED = "LOGO_UNUSED"


@dataclass(frozen=True)
class Advice:
    """`sentence`: what happened, for the customer. `hint`: what to do about it, if anything."""

    sentence: str
    hint: str


NOTHING_TO_DO = "Nothing needs to be done."  # of what only operators and tools need to know

WARNINGS: dict[WarningCode, Advice] = {
    WarningCode.UNKNOWN_SETTING: Advice(
        "Something sent with the upload looks like a setting but is not one.",
        "If you meant it, correct the name and upload again.",
    ),
    WarningCode.PHOTOS_SKIPPED: Advice(
        "Some photos could not be used.",
        "Copy them from the drone's card again if they were cut off; leave out those that do not show the place.",
    ),
    WarningCode.PHOTOS_NOT_REGISTERED: Advice(
        "Some photos could not be matched to the others.",
        "Fly closer rows there, so that each photo shares 70 to 80 percent of its view with its neighbours.",
    ),
    WarningCode.PHOTOS_BLURRED: Advice(
        "Some photos are blurred.",
        "Fly slower or in better light, so that the shutter can be faster.",
    ),
    WarningCode.SECOND_IMAGES: Advice(
        "Some pictures are second images of the same shots, such as thermal ones, spectral bands or masks.",
        "Nothing needs to be done: they do not count as photos, and masks hide the areas that are black in them. For a"
        " scene made from thermal pictures or from one band, upload only these.",
    ),
    WarningCode.NESTED_ARCHIVES: Advice(
        "Archives within the ZIP were not opened.",
        "If photos are in them, unpack them first and compress all photos into one ZIP.",
    ),
    WarningCode.LOW_REGISTRATION: Advice(
        "We could match fewer than four fifths of your photos.",
        "Send one place per ZIP with more overlap between neighbouring photos.",
    ),
    WarningCode.FILMS_LEFT_OUT: Advice(
        "The ZIP contains photos and films: the scene was made from the photos.",
        "To make a scene from a film, upload the film on its own.",
    ),
    WarningCode.FILM_DAMAGED: Advice(
        "Part of a film could not be read and is missing from the scene.",
        "If it plays to its end on your computer, copy it from the card again and upload it once more.",
    ),
    WarningCode.TELEMETRY_DAMAGED: Advice(
        "The positions recorded beside a film could not be read.",
        "Copy its .SRT file from the card again, and upload it with the film once more.",
    ),
    WarningCode.TIME_BUDGET: Advice(
        "Time ran out before the work was complete, so the scene is not as good as it could be.",
        "Send fewer or smaller photos, or choose a quicker quality.",
    ),
    WarningCode.NOT_GEOREFERENCED: Advice(
        "The scene has no true scale, orientation or location.",
        "Keep the GPS data of the photos, or add a gcp_list.txt to the ZIP.",
    ),
    WarningCode.GPS_UNRELIABLE: Advice(
        "The GPS positions in the photos contradict the photos and were not used.",
        "Wait for a good satellite fix before take-off, or add a gcp_list.txt to the ZIP.",
    ),
    WarningCode.GPS_OUTLIERS: Advice(
        "The GPS positions of some photos contradict the others and were not used.",
        "Nothing needs to be done: the scene was placed by the other photos.",
    ),
    WarningCode.ALTITUDE_UNRELIABLE: Advice(
        "The altitudes in the photos contradict each other and were not used.",
        "For true heights, add a gcp_list.txt to the ZIP.",
    ),
    WarningCode.LENS_UNFITTED: Advice(
        "The lens distorts the photos in a way that our camera models do not describe, so the scene may be distorted.",
        "Send the photos as the camera took them, not corrected, cropped or stabilised by other programs.",
    ),
    WarningCode.ROLLING_SHUTTER: Advice(
        "The camera records its rows one after another while the drone moves, which makes positions less exact.",
        "Fly slower or higher, stop for each photo, or use a camera with a mechanical shutter.",
    ),
    WarningCode.CONTROL_POINTS_UNUSED: Advice(
        "The control points could not be used; only GPS could place the scene.",
        "Check gcp_list.txt: it needs three points that are not all on one line, each marked in at least two photos.",
    ),
    WarningCode.CONTROL_POINT_OUTLIERS: Advice(
        "Some control points contradict the others and were not used.",
        "Check the marks and coordinates of the points named here.",
    ),
    WarningCode.SMALLER_MODELS: Advice(
        "The scene contains several models; the one with the most photos was used.",
        "To use another one, upload a ZIP with only that model.",
    ),
    WarningCode.MASKS_UNUSED: Advice(
        "The masks belong to none of the photos and were not used.",
        "Name the mask of images/photo.jpg masks/photo.jpg.png or masks/photo.png, and upload again.",
    ),
    WarningCode.INVALID_GAUSSIANS: Advice(
        "Gaussians with invalid values, or without a rotation, were removed.",
        NOTHING_TO_DO,
    ),
    WarningCode.HIGHER_DEGREES_DROPPED: Advice(
        "The splat's finest view-dependent colours were dropped, because viewers do not draw them.",
        "Nothing needs to be done; to get a file without them, train with spherical harmonics of degree 3.",
    ),
    WarningCode.GAUSSIANS_CAPPED: Advice(
        "The scene has fewer Gaussians than requested: more do not fit in the instance's memory.",
        "Set a smaller maxGaussians, or ask the operator for a larger instance.",
    ),
    WarningCode.DAMAGED_CHECKPOINT: Advice(
        "A damaged checkpoint was skipped, so that part of the training was repeated.",
        NOTHING_TO_DO,
    ),
    WarningCode.FEWER_BLOCKS: Advice(
        "The flight was divided into fewer blocks than requested.",
        f"Nothing needs to be done: a block has at least {MIN_BLOCK_PHOTOS} photos.",
    ),
    WarningCode.BLOCK_MISSING: Advice(
        "Part of the flight could not be trained in detail; the scene shows a coarse model there.",
        "Run the job again from training.",
    ),
    WarningCode.SCENE_REDUCED: Advice(
        "The scene is so large that its single files are less detailed; the page that loads it in parts shows it all.",
        "Show and share the streaming page. For every detail in one file, use scene.ply.",
    ),
    WarningCode.TRANSPARENT_GAUSSIANS: Advice(
        "Gaussians that no renderer draws were removed.",
        NOTHING_TO_DO,
    ),
    WarningCode.OUTLIER_GAUSSIANS: Advice(
        "Gaussians far outside the scene were removed.",
        NOTHING_TO_DO,
    ),
    WarningCode.TARGET_MISSED: Advice(
        "Compression lost more detail than the quality setting allows.",
        "Choose a higher quality, or use the full splat, scene.ply.",
    ),
    WarningCode.PRODUCTS_MISSING: Advice(
        "Some survey products are missing; the scene is complete.",
        "Maps need GPS in the photos or a gcp_list.txt, a projected coordinate system, and three photos of each place; "
        "a surface model also needs the quality standard or high.",
    ),
    WarningCode.LOGO_UNUSED: Advice(
        "The quality report has no logo: the file could not be used.",
        "Nothing needs to be done for the scene. Whoever runs the service should set a PNG or JPEG of at most 1 MB.",
    ),
}
