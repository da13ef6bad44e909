"""Define the presets: how much held-out PSNR compression may lose."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contract.options import Quality

# typical PSNR of held-out photos of drone scenes; used if there are none to measure against
TYPICAL_PSNR = 27.0


class Preset(StrEnum):
    """The purpose of a file."""

    ARCHIVE = "archive"
    WEB = "web"
    TINY = "tiny"


# the format itself costs up to 0.009 dB at its finest, most of it in 8 bits of rotations (0.003) and opacities (0.002)
LOSS = {Preset.ARCHIVE: 0.01, Preset.WEB: 0.05, Preset.TINY: 0.3}
"""Decibels of held-out PSNR that compression may cost."""

OF_QUALITY = {Quality.PREVIEW: Preset.TINY, Quality.STANDARD: Preset.WEB, Quality.HIGH: Preset.ARCHIVE}
"""The preset of each of the customer's qualities."""


def for_page(preset: Preset) -> Preset:
    """The preset of the splat in the page: WEB instead of ARCHIVE, because a page is loaded over a network."""
    return Preset.WEB if preset is Preset.ARCHIVE else preset


@dataclass(frozen=True)
class Target:
    """The loss in dB that a preset allows, and the corresponding mean squared error against the original's pictures."""

    loss: float
    mean_squared_error: float


def target(preset: Preset, psnr_before: float | None) -> Target:
    """The preset's target for a splat that is `psnr_before` dB from its held-out photos.

    Errors of training and of compression are assumed to be independent, so their squares add up.
    """
    loss = LOSS[preset]
    training_error = 10 ** (-(TYPICAL_PSNR if psnr_before is None else psnr_before) / 10)
    return Target(loss, training_error * (10 ** (loss / 10) - 1))
