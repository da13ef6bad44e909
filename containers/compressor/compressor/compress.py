"""One splat to one SOG: search for the preset's target, pack, read back, measure, and only then believe it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from compressor.arranged import Arranged, Progress
from compressor.calibration import calibrated
from compressor.compensation import Compensation
from compressor.fitting import MOST_FITTED, Sights, sights
from compressor.framing import Framing
from compressor.palettes import PaletteCurve, measure_palettes
from compressor.presets import Preset, Target, target
from compressor.quality import HeldOut, Yardstick, psnr, yardstick
from compressor.search import Found, best_size, first_price, first_try, price_for, rounded_at, search
from compressor.sensitivity import cameras_of, measure_sensitivity
from compressor.sog.codes import MAX_PALETTE, Coarseness, Codes
from compressor.sog.container import entry_sizes, pack_files, read_codes, zip_files
from compressor.sog.decoder import dequantise
from compressor.strays import strays
from compressor.thinning import Thinned, thin
from splat.camera import View
from splat.gaussians import Gaussians
from stage.errors import ErrorCode, StageError

# a file whose held-out loss is over its target, or far below it, is searched again, at most so many times in all
_ROUNDS = 4
_CLOSE_ENOUGH = 0.8  # of the allowed loss used
# measured on trained scenes: the loss grows with the mean squared error to the power of 0.75
_LOSS_EXPONENT = 0.75
# a budget, of error or of held-out loss, of which leaving Gaussians out took more than this is spent anew, without
_MOST_SPENT = 1 / 3
# this part of the error is left after a fit, on trained scenes
_USUAL_GAIN = 0.8
# over this many dB of loss at the finest steps something is wrong with the splat, not with the search
_INTOLERABLE_LOSS = 1.0


@dataclass(frozen=True)
class Compressed:
    """The file, what it was made of, what a viewer makes of it, and how good that is in dB.

    `strays` belonged to nothing, `thinned` were left out for the preset.
    """

    sog: bytes
    arranged: Arranged
    decoded: Gaussians
    coarseness: Coarseness
    bytes_by_file: dict[str, int]
    fidelity: float
    psnr_before: float | None
    psnr_after: float | None
    target_loss: float
    strays: int
    thinned: int

    @property
    def met(self) -> bool:
        """Whether the held-out loss is within the preset's target; true where there are no held-out photos."""
        return self.psnr_before is None or self.psnr_after is None or self.loss <= self.target_loss

    @property
    def loss(self) -> float:
        """Decibels of held-out PSNR lost; 0 where there are no held-out photos."""
        return (self.psnr_before or 0.0) - (self.psnr_after or 0.0)


def compress(
    gaussians: Gaussians,
    views: Sequence[View],
    held_out: HeldOut | None,
    framing: Framing,
    preset: Preset,
    progress: Progress,
    check_stop: Callable[[], None],
    *,
    antialiased: bool = False,
) -> Compressed:
    """The smallest file of arranged `gaussians` that meets `preset`, without strays where there are `views`.

    Raises StageError(LOW_QUALITY) where even the finest loses over 1 dB.
    """
    before = held_out.psnr(gaussians, check_stop) if held_out else None
    goal = target(preset, before)
    stick = yardstick(gaussians, views, framing)
    progress(0.0, "measuring what matters in pictures")
    whole = measured(gaussians, views, framing, check_stop)
    # an archive keeps every Gaussian, and so does a lone splat: nobody knows what its cameras saw
    seen = sights_of(whole, views, framing)
    ready = prepare(
        whole, goal.mean_squared_error, stick, seen, _part(progress, 0.05, 0.4), check_stop,
        leave_out=bool(views) and preset is not Preset.ARCHIVE,
    )  # fmt: skip

    def without_leaving_out() -> tuple[Prepared, float]:
        again = prepare(whole, budget, stick, seen, _part(progress, 0.25, 0.2), check_stop, leave_out=False)
        return again, _believed(again, goal, before, held_out, stick, check_stop)

    def rounds(ready: Prepared, budget: float) -> list[Compressed]:
        results: list[Compressed] = []
        for number in range(_ROUNDS):
            found = ready.search(budget, stick, _part(progress, 0.5 + 0.125 * number, 0.125))
            result = _packed(ready.arranged, found, before, held_out, goal.loss, antialiased, check_stop)
            results.append(result)
            wanted = min(goal.mean_squared_error, _error_for(found.mean_squared_error, result.loss, goal.loss))
            if result.met and (result.loss >= _CLOSE_ENOUGH * goal.loss or wanted <= budget):
                break
            budget = wanted if result.met else min(0.9 * budget, wanted)
        return results

    budget = _believed(ready, goal, before, held_out, stick, check_stop)
    missed = before - held_out.psnr(ready.arranged.gaussians, check_stop) if held_out and before is not None else 0.0
    if ready.spent > _MOST_SPENT * budget or missed > _MOST_SPENT * goal.loss:
        ready, budget = without_leaving_out()
    results = rounds(ready, budget)
    if not results[0].met and ready.spent:  # held-out photos miss what pictures of the trained views do not
        results += rounds(*without_leaving_out())
    met = [result for result in results if result.met]
    best = min(met, key=lambda result: len(result.sog)) if met else min(results, key=lambda result: result.loss)
    if best.loss > _INTOLERABLE_LOSS:
        raise StageError(ErrorCode.LOW_QUALITY, f"compression would cost {best.loss:.2f} dB of held-out PSNR")
    return replace(best, strays=len(gaussians) - len(whole), thinned=len(whole) - len(best.arranged))


@dataclass(frozen=True)
class Prepared:
    """A splat ready to be searched; `spent`: the error of what was left out of it."""

    arranged: Arranged
    palettes: PaletteCurve | None
    spent: float
    compensation: Compensation | None

    def search(self, budget: float, yardstick: Yardstick, progress: Progress) -> Found:
        """The smallest content within an error of `budget` against the yardstick's pictures; where none is, the finest.

        The palette's size goes with the price until one is within: with it fixed the error is smooth in the price.
        """
        room = budget - self.spent
        if room > 0:
            start = price_for(first_try(self.arranged, self.palettes, room, yardstick), room, self.spent)

            def rounded(price: float, within: Found | None) -> Found:
                size = within.coarseness.palette_size if within else best_size(self.palettes, price)
                return rounded_at(price, size, self.arranged, self.palettes, yardstick)

            found = None
            if compensation := self.compensation:
                found = search(
                    lambda price, within: compensation.fitted(rounded(price, within), yardstick),
                    start / _USUAL_GAIN, budget, progress, spent=self.spent,
                )  # fmt: skip
            if found := found or search(rounded, start, budget, progress, spent=self.spent):
                return found
        return rounded_at(0.0, MAX_PALETTE, self.arranged, self.palettes, yardstick)


def measured(gaussians: Gaussians, views: Sequence[View], framing: Framing, check_stop: Callable[[], None]) -> Arranged:
    """Arranged `gaussians` with what matters in pictures, without strays where there are `views`."""
    arranged = Arranged(gaussians, measure_sensitivity(gaussians, views, framing, check_stop))
    stray = strays(gaussians, arranged.sensitivity.seen) if views else np.zeros(len(gaussians), dtype=np.bool_)
    return arranged.select(~stray) if stray.any() else arranged


def sights_of(arranged: Arranged, views: Sequence[View], framing: Framing) -> Sights | None:
    """What can be fitted to; None without `views`, or where a fit would take too long."""
    return sights(arranged.gaussians, cameras_of(views, framing)) if views and len(arranged) <= MOST_FITTED else None


def prepare(
    arranged: Arranged,
    budget: float,
    yardstick: Yardstick,
    seen: Sights | None,
    progress: Progress,
    check_stop: Callable[[], None],
    *,
    leave_out: bool,
) -> Prepared:
    """Measure palettes for a squared error of about `budget`.

    Gaussians that it has room to leave out are, with `leave_out`.
    """
    progress(0.0, "leaving out what nobody misses")
    thinned = thin(arranged, budget, yardstick, seen, check_stop) if leave_out else Thinned(arranged, 0.0)
    left = thinned.arranged
    some = yardstick if len(left) <= MOST_FITTED else yardstick.every_other()
    own = some if left is arranged else some.of(left.gaussians)
    left = calibrated(left, first_price(left, budget), own, check_stop)
    palettes = measure_palettes(left, own, budget, _part(progress, 0.3, 0.7))
    compensation = Compensation(left, palettes, seen, check_stop) if seen else None
    return Prepared(left, palettes, thinned.error, compensation)


def _believed(
    ready: Prepared,
    goal: Target,
    before: float | None,
    held_out: HeldOut | None,
    stick: Yardstick,
    check_stop: Callable[[], None],
) -> float:
    """The budget for `goal`: compression's error is not quite independent of training's; one try tells by how much,
    where there are held-out photos.
    """
    if held_out is None or before is None:
        return goal.mean_squared_error
    room = goal.mean_squared_error - ready.spent
    trial = first_try(ready.arranged, ready.palettes, room, stick)
    loss = before - held_out.psnr(dequantise(trial.codes), check_stop)
    return min(goal.mean_squared_error, _error_for(trial.mean_squared_error, loss, goal.loss))


def _part(progress: Progress, start: float, length: float) -> Progress:
    """Progress of a part of the work that is `length` of the whole."""
    return lambda share, text: progress(start + length * share, text)


def _error_for(mean_squared_error: float, loss: float, allowed: float) -> float:
    """The error at which the loss should be just within what is allowed."""
    return float(mean_squared_error * (0.9 * allowed / max(loss, 0.1 * allowed)) ** (1 / _LOSS_EXPONENT))


def _packed(
    arranged: Arranged,
    found: Found,
    before: float | None,
    held_out: HeldOut | None,
    goal: float,
    antialiased: bool,
    check_stop: Callable[[], None],
) -> Compressed:
    sog = zip_files(pack_files(found.codes, antialiased=antialiased))
    read_back = read_codes(sog)
    if not same_codes(read_back, found.codes):
        raise StageError(ErrorCode.INTERNAL, "the SOG file does not read back as it was written")
    decoded = dequantise(read_back)
    return Compressed(
        sog=sog,
        arranged=arranged,
        decoded=decoded,
        coarseness=found.coarseness,
        bytes_by_file=entry_sizes(sog),
        fidelity=psnr(found.mean_squared_error),
        psnr_before=before,
        psnr_after=held_out.psnr(decoded, check_stop) if held_out else None,
        target_loss=goal,
        strays=0,
        thinned=0,
    )


def same_codes(one: Codes, other: Codes) -> bool:
    """Whether two SOG contents are equal in every integer and every codebook."""

    def same(a: object, b: object) -> bool:
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            return np.array_equal(a, b)
        if a is None or b is None:
            return a is b
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))  # type: ignore[arg-type]

    return same(one, other)
