"""Join the results of a large flight's blocks into one result of its training, for the report.

A check photo that several blocks show in part has one score: the squared errors are weighted by the parts' pixels, as
if the entire photo had been compared at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DECIBELS = ("psnr", "psnr_fitted", "psnr_predicted", "psnr_seen", "psnr_seen_fitted")
_SHARES = ("ssim", "gmsd", "seen")
_METRICS = {
    "psnr": "psnr",
    "psnrFitted": "psnr_fitted",
    "psnrPredicted": "psnr_predicted",
    "psnrSeen": "psnr_seen",
    "psnrSeenFitted": "psnr_seen_fitted",
    "seen": "seen",
    "ssim": "ssim",
    "gmsd": "gmsd",
}
_SUMMED = ("gaussians", "steps", "denseSeeds", "densePoints", "virtualViews")


@dataclass(frozen=True)
class BlockResult:
    """A block's result.json. `weight`: the block's share of the flight; `pixels`: the size of each photo's part, by the
    photo's name."""

    result: Mapping[str, Any]
    weight: float
    pixels: Mapping[str, int]


def joined_result(coarse: Mapping[str, Any], blocks: Sequence[BlockResult]) -> dict[str, Any]:
    """The result of the stage as if it had trained the entire flight at once, without the list of files.

    `coarse`: the coarse model's result.json, which counts the flight's photos.
    """
    counts = dict(coarse["counts"])
    counts |= {name: sum(block.result["counts"].get(name, 0) for block in blocks) for name in _SUMMED}
    views = joined_views(blocks)
    heaviest = max(blocks, key=lambda block: block.weight).result["metrics"]
    metrics: dict[str, Any] = {
        **heaviest,
        **{name: _rounded((1.0, view[field]) for view in views) for name, field in _METRICS.items()},
        **{
            name: _rounded((block.weight, block.result["metrics"].get(name)) for block in blocks)
            for name in ("psnrTrain", "psnrOffPath", "contrastOffPath")
        },
        "viewsPerPlace": coarse["metrics"].get("viewsPerPlace"),
        "exposure": coarse["metrics"].get("exposure"),
        "views": views,
        "trainedSteps": sum(block.result["metrics"].get("trainedSteps") or 0 for block in blocks),
    }
    if any(block.result["metrics"].get("ended") == "time" for block in blocks):
        metrics["ended"] = "time"
    everything = [coarse, *(block.result for block in blocks)]
    resources = [result.get("resources", {}) for result in everything]
    return {
        **{name: coarse[name] for name in ("version", "stage", "jobId")},
        "attempt": 1,
        "counts": counts,
        "metrics": metrics,
        "timings": _summed(result["timings"] for result in everything),
        "resources": {
            "wallSeconds": sum(taken.get("wallSeconds", 0.0) for taken in resources),
            "cpuSeconds": sum(taken.get("cpuSeconds", 0.0) for taken in resources),
            "peakMemoryBytes": max((taken.get("peakMemoryBytes", 0) for taken in resources), default=0),
        },
        "warnings": _once([warning for result in everything for warning in result["warnings"]]),
    }


def joined_views(blocks: Sequence[BlockResult]) -> list[dict[str, Any]]:
    """The scores of the check photos, one per photo, sorted by name."""
    found: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for block in blocks:
        for score in block.result["metrics"].get("views", []):
            name = score["name"]
            found.setdefault(name, []).append((block.pixels.get(name, 1), score))
    return [
        {
            "name": name,
            **{field: pooled([(pixels, score.get(field)) for pixels, score in scores]) for field in _DECIBELS},
            **{field: weighed([(pixels, score.get(field)) for pixels, score in scores]) for field in _SHARES},
        }
        for name, scores in sorted(found.items())
    ]


def pooled(values: Iterable[tuple[float, float | None]]) -> float | None:
    """The dB of all pixels together, from pairs (pixels, dB); None if no pair has a value."""
    error = weighed([(weight, None if value is None else 10 ** (-value / 10)) for weight, value in values])
    return None if error is None else round(-10 * math.log10(max(error, 1e-10)), 4)


def weighed(values: Iterable[tuple[float, float | None]]) -> float | None:
    """The weighted mean of pairs (weight, value) that have a value; None if none has."""
    known = [(weight, value) for weight, value in values if value is not None]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total else None


def _rounded(values: Iterable[tuple[float, float | None]]) -> float | None:
    found = weighed(values)
    return None if found is None else round(found, 4)


def _summed(timings: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for seconds in timings:
        for name, value in seconds.items():
            total[name] = round(total.get(name, 0.0) + value, 3)
    return total


def _once(warnings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Warnings without repetition: blocks that share a photo report the same warning."""
    return list({(warning["code"], warning["message"]): warning for warning in warnings}.values())
