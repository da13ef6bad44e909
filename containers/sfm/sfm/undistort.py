"""Undistort photos and model to pinhole cameras; EXIF is dropped, because it reveals places and would rotate twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image

from sfm.masks import read_mask
from sfm.native import Send
from sfm.parallel import map_in_order
from stage.pictures import MASKED_BELOW

JPEG_QUALITY = 95
STRIP = 256  # rows at a time: the rays of all pixels of a 48-megapixel photo would need 3 GB
# pixels, half of a good reprojection error: resampling to remove less would cost a sixth of a photo's finest detail
NEGLIGIBLE_DISTORTION = 0.1
GRID_POINTS = 33  # points along each side of a photo at which its distortion is evaluated
LEGACY_MODEL_FILES = ("cameras.bin", "images.bin", "points3D.bin")


@dataclass(frozen=True, eq=False)
class Undistortion:
    """A PINHOLE camera and the remap tables (OpenCV fixed point) from its pixels to those of the photo."""

    camera: pycolmap.Camera
    coordinates: NDArray[np.int16]
    fractions: NDArray[np.uint16]


def pinhole_of(camera: pycolmap.Camera) -> pycolmap.Camera:
    """The PINHOLE camera of the largest view without blank borders, as COLMAP chooses it, with the principal point of
    `camera`; `without_distortion` of a camera whose distortion is negligible.
    """
    if is_negligible(camera):
        return without_distortion(camera)
    pinhole = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera)
    pinhole.camera_id = camera.camera_id
    return pinhole


def undistortion_of(camera: pycolmap.Camera) -> Undistortion:
    """The view of `pinhole_of`. Photos with negligible distortion stay unchanged, pixel for pixel."""
    pinhole = pinhole_of(camera)
    if is_negligible(camera):
        camera = pinhole
    coordinates = np.empty((pinhole.height, pinhole.width, 2), np.int16)
    fractions = np.empty((pinhole.height, pinhole.width), np.uint16)
    for top in range(0, pinhole.height, STRIP):
        strip = slice(top, min(top + STRIP, pinhole.height))
        columns, rows = np.meshgrid(np.arange(pinhole.width) + 0.5, np.arange(strip.start, strip.stop) + 0.5)
        rays = np.column_stack(
            [
                (columns.ravel() - pinhole.principal_point_x) / pinhole.focal_length_x,
                (rows.ravel() - pinhole.principal_point_y) / pinhole.focal_length_y,
                np.ones(columns.size),
            ]
        )
        pixels = camera.img_from_cam(rays) - 0.5  # OpenCV counts from pixel centres
        table = pixels.astype(np.float32).reshape(*columns.shape, 2)
        coordinates[strip], fractions[strip] = cv2.convertMaps(table[..., 0], table[..., 1], cv2.CV_16SC2)
    return Undistortion(pinhole, coordinates, fractions)


def without_distortion(camera: pycolmap.Camera) -> pycolmap.Camera:
    """A PINHOLE camera with the size, focal lengths and principal point of `camera`."""
    plain = pycolmap.Camera.create_from_model_name(
        camera.camera_id, "PINHOLE", camera.mean_focal_length(), camera.width, camera.height
    )
    plain.params = [
        camera.focal_length_x,
        camera.focal_length_y,
        camera.principal_point_x,
        camera.principal_point_y,
    ]
    return plain


def is_negligible(camera: pycolmap.Camera) -> bool:
    """Whether the distortion of `camera` is too small to be worth resampling its photos."""
    return distortion_of(camera, without_distortion(camera)) <= NEGLIGIBLE_DISTORTION


def distortion_of(camera: pycolmap.Camera, plain: pycolmap.Camera) -> float:
    """The largest distance in pixels between the two cameras' images of the same ray; infinite if `camera` does not
    show one of the rays.
    """
    columns, rows = np.meshgrid(np.linspace(0, plain.width, GRID_POINTS), np.linspace(0, plain.height, GRID_POINTS))
    pixels = np.column_stack([columns.ravel(), rows.ravel()])
    rays = np.column_stack([np.asarray(plain.cam_from_img(pixels)).reshape(-1, 2), np.ones(len(pixels))])
    moved = np.asarray(camera.img_from_cam(rays), dtype=np.float64).reshape(-1, 2)
    off = np.linalg.norm(moved - pixels, axis=1)
    return float(off.max()) if np.isfinite(off).all() else float("inf")


def write_undistorted(model_folder: Path, photos: Path, output: Path, threads: int, send: Send) -> None:
    """Write `output/images/<name>` for each photo registered in the model at `model_folder`, its mask to
    `output/masks/<name>.png`, and the undistorted model to `output/sparse/0`. Runs in a child process.

    `send` receives the share of photos done, 0..1.
    """
    model = pycolmap.Reconstruction(model_folder)
    images = output / "images"
    images.mkdir(parents=True)
    registered = sorted((image for image in model.images.values() if image.has_pose), key=lambda image: image.name)
    pinholes = {camera_id: pinhole_of(model.camera(camera_id)) for camera_id in {i.camera_id for i in registered}}
    result = undistorted_model(model, registered, pinholes)
    views, colors = Views(model, threads), PointColors()

    def write(image: pycolmap.Image) -> NDArray[np.uint8]:
        view = views.of(image.camera_id)
        picture = undistort_photo(photos / image.name, images / image.name, view)
        undistort_mask(photos / image.name, output / "masks" / f"{image.name}.png", view)
        return picture_at(picture, np.array([point.xy for point in image.points2D]).reshape(-1, 2))

    pictured = sorted(result.images.values(), key=lambda image: (image.camera_id, image.name))
    for done, (image, seen) in enumerate(zip(pictured, map_in_order(write, pictured, threads), strict=True), start=1):
        colors.add([point.point3D_id for point in image.points2D], seen)
        send(done / len(pictured))
    for point_id, color in colors.means().items():
        result.point3D(point_id).color = color
    folder = output / "sparse" / "0"
    folder.mkdir(parents=True)
    result.write(folder)
    for path in folder.iterdir():
        if path.name not in LEGACY_MODEL_FILES:  # rigs and frames, which are trivial here
            path.unlink()


class Views:
    """The undistortion of the cameras whose photos are being written, the `latest` of them: remap tables take 6 bytes a
    pixel, and in some scenes each photo has a camera of its own."""

    def __init__(self, model: pycolmap.Reconstruction, latest: int) -> None:
        self._model, self._latest = model, latest
        self._views, self._lock = OrderedDict[int, Future[Undistortion]](), threading.Lock()

    def of(self, camera_id: int) -> Undistortion:
        """Computed by the first thread that asks for it; the others wait."""
        with self._lock:
            computed = self._views.get(camera_id)
            found = self._views.setdefault(camera_id, Future())
            if len(self._views) > self._latest:
                self._views.popitem(last=False)
        if computed is None:
            try:
                found.set_result(undistortion_of(self._model.camera(camera_id)))
            except BaseException as error:
                found.set_exception(error)
        return found.result()


class PointColors:
    """Mean colours of 3D points over the photos that see them."""

    def __init__(self) -> None:
        self._sums: dict[int, NDArray[np.int64]] = {}

    def add(self, point_ids: Sequence[int], colors: NDArray[np.uint8]) -> None:
        """Add the `colors` (N, 3) in which one photo shows the points."""
        for point_id, color in zip(point_ids, colors, strict=True):
            if point_id not in self._sums:
                self._sums[point_id] = np.zeros(4, np.int64)
            self._sums[point_id] += (*color, 1)

    def means(self) -> dict[int, NDArray[np.uint8]]:
        return {point_id: np.round(s[:3] / s[3]).astype(np.uint8) for point_id, s in self._sums.items()}


def picture_at(picture: NDArray[np.uint8], places: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(N, 3) RGB of a BGR `picture` at the pixels that contain `places` (N, 2; x, y)."""
    columns = np.clip(places[:, 0].astype(int), 0, picture.shape[1] - 1)
    rows = np.clip(places[:, 1].astype(int), 0, picture.shape[0] - 1)
    return np.asarray(picture[rows, columns][:, ::-1])


def undistort_photo(source: Path, target: Path, view: Undistortion) -> NDArray[np.uint8]:
    """Remap one photo and store it as a JPEG without metadata; returns the picture (H, W, 3), BGR."""
    photo = cv2.imdecode(np.fromfile(source, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if photo is None:
        raise ValueError(f"{source.name} cannot be decoded")
    warped = cv2.remap(photo, view.coordinates, view.fractions, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    written, encoded = cv2.imencode(".jpg", warped, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not written:
        raise ValueError(f"{target.name} cannot be encoded")
    target.write_bytes(encoded.tobytes())
    return np.asarray(warped, np.uint8)


def undistort_mask(photo: Path, target: Path, view: Undistortion) -> None:
    """Remap the mask of the photo at `photo`, if it has one."""
    mask = read_mask(photo)
    if mask is None:
        return
    warped = cv2.remap(mask, view.coordinates, view.fractions, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    target.parent.mkdir(exist_ok=True)
    Image.fromarray(np.where(warped >= MASKED_BELOW, 255, 0).astype(np.uint8)).save(target, "PNG")


def undistorted_model(
    model: pycolmap.Reconstruction, registered: list[pycolmap.Image], pinholes: dict[int, pycolmap.Camera]
) -> pycolmap.Reconstruction:
    """The model with the cameras `pinholes` and only those 2D points that observe a 3D point."""
    result = pycolmap.Reconstruction()
    for pinhole in pinholes.values():
        result.add_camera_with_trivial_rig(pinhole)
    new_index: dict[tuple[int, int], int] = {}
    for image in registered:
        observed = image.get_observation_point2D_idxs()
        new_index.update({(image.image_id, old): new for new, old in enumerate(observed)})
        distorted = np.array([image.point2D(index).xy for index in observed]).reshape(-1, 2)
        plane = model.camera(image.camera_id).cam_from_img(distorted).reshape(-1, 2)
        keypoints = pinholes[image.camera_id].img_from_cam(np.column_stack([plane, np.ones(len(plane))]))
        result.add_image_with_trivial_frame(
            pycolmap.Image(
                name=image.name, keypoints=keypoints.reshape(-1, 2), camera_id=image.camera_id, image_id=image.image_id
            ),
            image.cam_from_world(),
        )
    for point in model.points3D.values():
        track = pycolmap.Track()
        for element in point.track.elements:
            track.add_element(element.image_id, new_index[element.image_id, element.point2D_idx])
        result.add_point3D(point.xyz, track, point.color)
    result.update_point_3d_errors()
    return result
