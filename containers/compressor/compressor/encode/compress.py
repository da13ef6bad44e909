"""Compress a splat to one SOG: search for the preset's target, pack, read back, and measure what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from compressor.encode.arranged import Arranged
from compressor.encode.encoder import Coarseness
from compressor.encode.fitting import Sights
from compressor.encode.pace import Pace
from compressor.encode.prepared import Prepared, measured, prepare
from compressor.encode.presets import Preset, Target, target
from compressor.encode.pruning import Pruned, Pruner
from compressor.encode.quality import HeldOut, Yardstick, yardstick
from compressor.encode.search import MAX_TRIES, Found, first_try
from compressor.encode.viewpoints import MAX_EXPLORED
from compressor.framing import Framing
from compressor.sog.codes import Codes, same_codes
from compressor.sog.container import entry_sizes, pack_files, read_codes, zip_files
from compressor.sog.decoder import dequantise
from splat.camera import View
from splat.errors import InvalidSplatError
from splat.gaussians import Gaussians
from splat.loss import psnr
from splat.stored import Marks
from stage.errors import ErrorCode, StageError


@dataclass(frozen=True)
class _Effort:
    """How much work the search does. If a file's held-out loss is above its target, or far below it, the search is
    repeated, at most `rounds` times in all. `views`: number of views from which sensitivities are measured; `fit`:
    whether pruning and rounding are compensated."""

    rounds: int = 4
    tries: int = MAX_TRIES
    views: int = MAX_EXPLORED
    fit: bool = True


_SEARCH, _FIXED_STEPS = _Effort(), _Effort(rounds=2, tries=1, views=12, fit=False)
_SECONDS_FOR_ALL_VIEWS = 400e-6  # per Gaussian; with less, exploring all views would take most of the time
_CLOSE_ENOUGH = 0.8  # share of the allowed loss from which no further round is made
# measured on trained scenes: the loss grows with the mean squared error to the power of 0.75
_LOSS_EXPONENT = 0.75
# pruning may use this share of the budget, of error and of held-out loss; if it uses more, half as much is tried
_MAX_SPENT = 0.4
_PRUNING = (1.0, 0.5, 0.25)  # shares of the pruning that `prune` would do
_PREPARED_BY = 0.5  # share of the time after which no further pruning is tried
_FIDELITY_SLACK = 1.0  # dB; a search may end that much below its target when its time is up
# a loss of more than this many dB at the finest steps means that the splat is at fault, not the search
_INTOLERABLE_LOSS = 1.0


@dataclass(frozen=True)
class Compressed:
    """The SOG file, the splat it was made from, the splat a viewer decodes from it, and its quality in dB.

    `target_fidelity`: the least that `fidelity` was to be; `outliers` and `pruned`: Gaussians removed because they
    belong to nothing, and to meet the preset.
    """

    sog: bytes
    arranged: Arranged
    decoded: Gaussians
    coarseness: Coarseness
    bytes_by_file: dict[str, int]
    fidelity: float
    target_fidelity: float
    psnr_before: float | None
    psnr_after: float | None
    target_loss: float
    outliers: int
    pruned: int

    @property
    def met(self) -> bool:
        """Whether the held-out loss is within the preset's target; True without held-out photos."""
        return self.psnr_before is None or self.psnr_after is None or self.loss <= self.target_loss

    @property
    def missed(self) -> str | None:
        """By how much the preset's target was missed, if it was: of the held-out loss, or without held-out photos of
        the fidelity, below whose target a search may end by a little."""
        if not self.met:
            return f"compression cost {self.loss:.3f} dB; the target is {self.target_loss}"
        if self.psnr_before is None and self.fidelity < self.target_fidelity - _FIDELITY_SLACK:
            return f"its fidelity is {self.fidelity:.1f} dB; the target is {self.target_fidelity:.1f}"
        return None

    @property
    def loss(self) -> float:
        """Decibels of held-out PSNR lost; 0 without held-out photos."""
        return (self.psnr_before or 0.0) - (self.psnr_after or 0.0)


def compress(
    gaussians: Gaussians,
    views: Sequence[View],
    held_out: HeldOut | None,
    framing: Framing,
    preset: Preset,
    pace: Pace,
    *,
    marks: Marks = Marks(),  # noqa: B008 - frozen
) -> Compressed:
    """Find the smallest file that meets `preset`: `compress_each` for one."""
    (result,) = compress_each([preset], gaussians, views, held_out, framing, pace, marks=marks)
    return result


def compress_each(
    presets: Sequence[Preset],
    gaussians: Gaussians,
    views: Sequence[View],
    held_out: HeldOut | None,
    framing: Framing,
    pace: Pace,
    *,
    marks: Marks = Marks(),  # noqa: B008 - frozen
) -> list[Compressed]:
    """For each of `presets` find the smallest file that meets it; they share the measurements and, equally, the time.

    Parameters
    ----------
    gaussians: N Gaussians in world units, in the order of `arrange`.
    views: the cameras of its photos, in pixels; empty for a lone splat, of which no Gaussian is removed.
    held_out: photos that no training saw; without them the loss is measured against the splat's own pictures.
    framing: how the scene is seen from all round, for what the cameras of `views` do not show.
    presets: the losses in dB that are allowed (presets.LOSS).
    pace: the CPU seconds that it may take; at their end the best file so far is returned.
    marks: up and offset for the file, and whether pictures of it are antialiased; none by default.

    Returns of each the file's bytes, the splat that a viewer decodes from it, and its quality in dB.

    Raises StageError(LOW_QUALITY) where even the finest file loses over 1 dB.
    """
    first = pace.part(0.0, 1 / len(presets))
    first.begin(1)
    efforts = [_FIXED_STEPS if preset is Preset.TINY else _SEARCH for preset in presets]
    if pace.seconds < _SECONDS_FOR_ALL_VIEWS * len(gaussians):
        efforts = [replace(effort, views=_FIXED_STEPS.views) for effort in efforts]
    before = held_out.psnr(gaussians, first) if held_out else None
    stick = yardstick(gaussians, views, framing, antialiased=marks.antialiased)
    most = max(effort.views for effort in efforts)
    whole, seen = measured(gaussians, views, framing, first, most, antialiased=marks.antialiased)
    found = []
    for number, (preset, effort) in enumerate(zip(presets, efforts, strict=True)):
        own = pace.part(number / len(presets), (number + 1) / len(presets)) if number else first
        compression = _Compression(
            whole, seen if effort.fit else None, target(preset, before), before, held_out, stick, own, effort, marks
        )
        # an archive keeps every Gaussian, and so does a lone splat, because it is unknown what its cameras saw
        results = compression.results(pruning=bool(views) and preset is not Preset.ARCHIVE)
        met = [result for result in results if result.met]
        best = min(met, key=lambda result: len(result.sog)) if met else min(results, key=lambda result: result.loss)
        if best.loss > _INTOLERABLE_LOSS:
            raise StageError(ErrorCode.LOW_QUALITY, f"compression would cost {best.loss:.2f} dB of held-out PSNR")
        found.append(replace(best, outliers=len(gaussians) - len(whole), pruned=len(whole) - len(best.arranged)))
    return found


@dataclass(frozen=True)
class _Compression:
    """Makes files of the splat `whole` for a goal, and measures how close to the goal they come.

    `seen`: the pictures to fit to, if any; `before`: the splat's own held-out PSNR.
    """

    whole: Arranged
    seen: Sights | None
    goal: Target
    before: float | None
    held_out: HeldOut | None
    stick: Yardstick
    pace: Pace
    effort: _Effort
    marks: Marks

    def results(self, *, pruning: bool) -> list[Compressed]:
        """All files made; with `pruning`, those of the pruned splat first, as long as pruning leaves enough budget."""
        ready, budget = self._prepared(pruning=pruning)
        before = self.pace.spent
        results = self._rounds(ready, budget)
        # pruning may cost held-out photos more than pictures of the trained views show
        if not results[0].met and ready.spent and self.pace.allows(self.pace.spent - before):
            results += self._rounds(*self._prepared(pruning=False))
        return results

    def _prepared(self, *, pruning: bool) -> tuple[Prepared, float]:
        """The splat without what can be pruned, and the squared error that meets the goal."""
        pruner = Pruner(self.whole, self.stick, self.seen, self.pace)
        for part in _PRUNING if pruning else ():
            if not self.pace.allows(0, until=_PREPARED_BY):
                break
            self.pace.begin(2)
            pruned = pruner.prune(part * self.goal.mean_squared_error)
            if not pruned.error:
                break
            if self._loss(pruned.arranged.gaussians) <= _MAX_SPENT * self.goal.loss:
                ready, budget = self._ready(pruned)
                if ready.spent <= _MAX_SPENT * budget:
                    return ready, budget
        return self._ready(Pruned(self.whole, 0.0))

    def _ready(self, pruned: Pruned) -> tuple[Prepared, float]:
        ready = prepare(pruned, self.goal.mean_squared_error, self.stick, self.seen, self.pace)
        return ready, self._budget(ready)

    def _loss(self, gaussians: Gaussians) -> float:
        """Decibels of held-out PSNR by which `gaussians` are below the splat; 0 without such photos."""
        if self.held_out is None or self.before is None:
            return 0.0
        return self.before - self.held_out.psnr(gaussians, self.pace)

    def _budget(self, ready: Prepared) -> float:
        """The squared error that meets the goal.

        The errors of training and compression are not quite independent: if there are held-out photos, one trial
        measures the dependence.
        """
        if self.held_out is None:
            return self.goal.mean_squared_error
        room = self.goal.mean_squared_error - ready.spent
        trial = first_try(ready.arranged, ready.palettes, room, self.stick)
        return self._error_for(trial.mean_squared_error, self._loss(dequantise(trial.codes)))

    def _rounds(self, ready: Prepared, budget: float) -> list[Compressed]:
        """Files that approach the goal step by step."""
        results: list[Compressed] = []
        found: Found | None = None
        for _ in range(self.effort.rounds):
            before = self.pace.spent
            found = ready.search(budget, self.stick, self.pace, near=found, tries=self.effort.tries)
            result = self._packed(ready.arranged, found)
            results.append(result)
            wanted = self._error_for(found.mean_squared_error, result.loss)
            if not self.pace.allows(self.pace.spent - before) or (result.met and self.effort.tries == 1):
                break
            if result.met and (result.loss >= _CLOSE_ENOUGH * self.goal.loss or wanted <= budget):
                break
            budget = wanted if result.met else min(0.9 * budget, wanted)
        return results

    def _error_for(self, mean_squared_error: float, loss: float) -> float:
        """The error at which the loss should be just within the allowed one, at most that of the goal."""
        allowed = self.goal.loss
        wanted = mean_squared_error * (0.9 * allowed / max(loss, 0.1 * allowed)) ** (1 / _LOSS_EXPONENT)
        return min(self.goal.mean_squared_error, float(wanted))

    def _packed(self, arranged: Arranged, found: Found) -> Compressed:
        sog = zip_files(pack_files(found.codes, self.marks))
        read_back = read_verified(sog, found.codes)
        decoded = dequantise(read_back)
        return Compressed(
            sog=sog,
            arranged=arranged,
            decoded=decoded,
            coarseness=found.coarseness,
            bytes_by_file=entry_sizes(sog),
            fidelity=psnr(found.mean_squared_error),
            target_fidelity=psnr(self.goal.mean_squared_error),
            psnr_before=self.before,
            psnr_after=self.held_out.psnr(decoded, self.pace) if self.held_out else None,
            target_loss=self.goal.loss,
            outliers=0,
            pruned=0,
        )


def read_verified(sog: bytes, written: Codes) -> Codes:
    """The content of `sog`. Raises StageError (INTERNAL) unless it reads back as the codes that were `written`."""
    try:
        read_back = read_codes(sog)
    except InvalidSplatError as error:  # a fault of the writer, not of the customer's splat
        raise StageError(ErrorCode.INTERNAL, f"the SOG file does not read back: {error}") from error
    if not same_codes(read_back, written):
        raise StageError(ErrorCode.INTERNAL, "the SOG file does not read back as it was written")
    return read_back
