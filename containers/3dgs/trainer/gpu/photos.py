"""The photos where they are compared: decoded in threads, kept on the device as bytes, made smaller there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from splat.camera import Camera
from trainer.backdrop import Backdrop
from trainer.dataset import Photo
from trainer.photo_store import VOUCHED, PhotoStore

SHARE_OF_MEMORY = 0.35  # of the device's, for photos
_SHOWN_FROM = 0.5  # a pixel of a smaller picture counts where the mask shows half of it


class Pictures:
    """A scene's photos at training resolution, as the loss wants them.

    Where `room` bytes hold them all, they are decoded once and stay on the device as bytes. Otherwise each is decoded
    anew, in the size that is wanted, ahead of its step, and copied from page-locked memory: nobody waits for the copy.
    """

    def __init__(self, photos: Sequence[Photo], device: torch.device, room: int) -> None:
        self._device = device
        planes = sum(photo.camera.width * photo.camera.height * (4 if photo.masked else 3) for photo in photos)
        self.resident = planes <= room
        self._threads = ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0)), thread_name_prefix="photo")
        self._coming: dict[tuple[str, int, int], Future[Tensor]] = {}
        self._here: dict[str, Tensor] = {}
        self._white = {photo.name: torch.full((3, 1, 1), 255.0, device=device) for photo in photos}
        if self.resident:
            self._fetch_all(photos)

    def set_gains(self, gains: Mapping[str, NDArray[np.float64]]) -> None:
        """From now on divide photos by `gains` (3,), by name."""
        for name, gain in gains.items():
            white = torch.from_numpy((255 * gain).astype(np.float32))
            self._white[name] = white[:, None, None].to(self._device)

    def coming(self, wanted: Sequence[tuple[Photo, Camera]]) -> None:
        """Announce what `target` will be asked for next, in this order."""
        if not self.resident:
            for photo, camera in wanted:
                self._start(photo, camera)

    def target(self, photo: Photo, camera: Camera) -> tuple[Tensor, Tensor | None]:
        """The photo's planes (3, height, width) at `camera`'s size, divided by its gain, and where it is shown
        (height, width), None where that is everywhere.

        Raises StageError(INVALID_SCENE) if it is damaged.
        """
        if self.resident:
            whole = self._here[photo.name].float()
            size = (camera.height, camera.width)
            planes = whole if whole.shape[1:] == size else adaptive_avg_pool2d(whole, size)
        else:
            self._start(photo, camera)
            arrived = self._coming.pop((photo.name, camera.width, camera.height)).result()
            planes = arrived.to(self._device, non_blocking=True).float()
        least = 255 * _SHOWN_FROM if photo.virtual is None else VOUCHED
        shown = planes[3] >= least if len(planes) == 4 else None
        return planes[:3] / self._white[photo.name], shown

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _fetch_all(self, photos: Sequence[Photo]) -> None:
        for photo, planes in zip(photos, self._decoded(photos), strict=True):
            self._here[photo.name] = planes.to(self._device, non_blocking=True)

    def _decoded(self, photos: Sequence[Photo]) -> Iterator[Tensor]:
        return self._threads.map(lambda photo: self._planes(photo, photo.camera), photos)

    def _start(self, photo: Photo, camera: Camera) -> None:
        key = (photo.name, camera.width, camera.height)
        if key not in self._coming:
            self._coming[key] = self._threads.submit(self._planes, photo, camera)

    def _planes(self, photo: Photo, camera: Camera) -> Tensor:
        """(3, height, width) bytes, (4, …) with the mask; in page-locked memory where there is a GPU to copy it to."""
        store, at_size = (
            PhotoStore(cache_bytes=0),
            replace(photo, camera=photo.camera.resized(camera.width, camera.height)),
        )
        planes = [store.picture(at_size).transpose(2, 0, 1)]
        mask = store.mask(at_size, at_size.camera)
        if mask is not None:
            planes.append(255 * mask[None].astype(np.uint8))
        found = torch.from_numpy(np.ascontiguousarray(np.concatenate(planes)))
        return found.pin_memory() if self._device.type == "cuda" else found


class Backgrounds:
    """What lies behind the splat in each photo, in the size in which the backdrop is drawn: drawn once, by the CPU, and
    kept on the device as bytes.
    """

    def __init__(
        self,
        backdrop: Backdrop,
        photos: Sequence[Photo],
        device: torch.device,
        after_each: Callable[[int], None] = lambda _done: None,
    ) -> None:
        """`after_each` gets the number of pictures drawn so far."""
        self._small: dict[str, Tensor] = {}
        for number, photo in enumerate(photos, start=1):
            tiny = photo.camera.scaled(min(1.0, backdrop.long_edge / max(photo.camera.width, photo.camera.height)))
            picture = backdrop.behind(photo.camera, tiny.width, tiny.height, torch.device("cpu"))
            planes = (255 * picture.permute(2, 0, 1)).round().to(torch.uint8).contiguous()
            self._small[photo.name] = planes.to(device)
            after_each(number)

    @property
    def bytes(self) -> int:
        """Of the device's memory."""
        return sum(planes.numel() for planes in self._small.values())

    def of(self, photo: Photo, width: int, height: int) -> Tensor:
        """(height, width, 3), 0..1, of the photo's picture in that size."""
        small = self._small[photo.name][None].float() / 255
        return interpolate(small, (height, width), mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
