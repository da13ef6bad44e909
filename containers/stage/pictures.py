"""Pictures of any mode as 8-bit RGB: structure from motion and training must see the same pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of any mode; 16-bit and float greys are stretched over their own range."""
    if not image.mode.startswith(("I", "F")):
        return image.convert("RGB")
    values = np.asarray(image, dtype=np.float64)
    low, high = np.percentile(values, (0.1, 99.9))
    grey = np.clip((values - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def has_alpha(image: Image.Image) -> bool:
    """Whether parts of a picture may be transparent."""
    return "A" in image.getbands() or "transparency" in image.info
