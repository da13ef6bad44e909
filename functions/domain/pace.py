"""How long a stage takes, learnt from earlier runs: seconds per unit of work, and how time relates to progress.
Pure, except for the table at the end, which stores what was learnt.

Time is not proportional to progress: the first steps of training use small pictures and few Gaussians, and are many
times faster than the last. So a stage's pace stores the seconds per unit of work and, for every tenth of the progress,
the share of the time that had passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from pydantic import BaseModel, Field

from contract.blocks import blocks_for
from contract.options import Quality
from contract.stages import Stage
from domain.blocks import COARSE_STEPS
from domain.job_item import JobItem

TENTHS = 10
_TRUSTED = 5  # one by the share of a stage's time from which the observed pace alone counts
MAX_SPEED_FACTOR = 20.0
LEARNING = 0.3  # weight of the newest run, once there are some
_EVEN = tuple(tenth / TENTHS for tenth in range(TENTHS + 1))
# measured on two cores: 2,000 training steps on two scenes, one real and one synthetic
_TRAINING = (0.0, 0.07, 0.10, 0.15, 0.21, 0.29, 0.41, 0.59, 0.755, 0.92, 1.0)


class Pace(BaseModel):
    """`waiting`: seconds until a machine is at work; `per_unit`: seconds for a unit of work; `usual`: the units of an
    average job, used until this job's number is known; `gone`: the share of the stage's time that is over
    at each tenth of its progress, rising from 0 to 1."""

    waiting: float
    per_unit: float
    usual: float
    gone: tuple[float, ...] = Field(default=_EVEN, min_length=TENTHS + 1, max_length=TENTHS + 1)
    runs: int = 0

    def at_speed(self, factor: float) -> Pace:
        """The pace on a machine on which stages take `factor` times as long, if nothing was learnt."""
        return self if self.runs else self.model_copy(update={"per_unit": self.per_unit * factor})

    def expecting(self, waiting: float) -> Pace:
        """The pace with a wait of `waiting` seconds, if none was learnt."""
        return self if self.runs else self.model_copy(update={"waiting": waiting})


# used until something was learnt: measured on the sample with two cores; an unmeasured stage counts as one minute
_UNMEASURED = Pace(waiting=30, per_unit=60, usual=1)
_PRIOR = {
    Stage.SFM: Pace(waiting=30, per_unit=1.2, usual=100),
    Stage.TRAINING: Pace(waiting=30, per_unit=0.1, usual=2000, gone=_TRAINING),
    Stage.COMPRESSOR: Pace(waiting=30, per_unit=2.5e-4, usual=80_000),
}
_SHARE_OF_STANDARD = {Quality.PREVIEW: 0.4, Quality.STANDARD: 1.0, Quality.HIGH: 3.0}  # steps, and about Gaussians too


def prior(stage: Stage, quality: Quality) -> Pace:
    pace = _PRIOR.get(stage, _UNMEASURED)
    share = _SHARE_OF_STANDARD[quality] if stage in (Stage.TRAINING, Stage.COMPRESSOR) else 1.0
    return pace.model_copy(update={"usual": pace.usual * share})


def blocks_of(item: JobItem) -> int:
    """The number of blocks in which the job is trained, from its number of photos; 1: it is not divided."""
    step = item.pipeline_step
    return blocks_for(item.photos) if item.photos and step is not None and Stage.SFM in step.stages else 1


def units(stage: Stage, item: JobItem, pace: Pace) -> float:
    """Units of the stage's work (photos, steps, Gaussians), as recorded for the job or the usual number. For training
    in blocks, the units of one block; all blocks together have as many times the usual number of Gaussians."""
    blocks = blocks_of(item)
    figures = {each: reported.metrics for each, reported in item.stages.items()}
    trained = figures.get(Stage.TRAINING, {})
    steps = trained.get("steps") or item.training_steps
    if stage is Stage.SFM:  # which alone knows how many photos a film becomes
        return float(item.photos or figures.get(stage, {}).get("photos") or pace.usual)
    if stage is Stage.TRAINING:
        return float(steps) / blocks if steps else pace.usual
    return float(trained.get("gaussians") or blocks * pace.usual)


def runs_of(stage: Stage, item: JobItem) -> list[float]:
    """The work of each machine that the stage uses, as a share of `units`; machines that run side by side come last.
    Training in blocks uses one machine for the coarse model, then one for each block."""
    blocks = blocks_of(item)
    return [COARSE_STEPS, *[1.0] * blocks] if stage is Stage.TRAINING and blocks > 1 else [1.0]


def stage_seconds(stage: Stage, item: JobItem, pace: Pace) -> float:
    """How long the stage is likely to take, from its request to its end, with a machine for each block."""
    turns = sorted(set(runs_of(stage, item)))  # blocks that run side by side count once
    return sum(pace.waiting + share * pace.per_unit * units(stage, item, pace) for share in turns)


def machine_seconds(stage: Stage, item: JobItem, pace: Pace) -> float:
    """The machine time that the stage is likely to use, summed over all its machines."""
    return sum(runs_of(stage, item)) * pace.per_unit * units(stage, item, pace)


def gone_at(pace: Pace, progress: float) -> float:
    """Share of the stage's time that is over at `progress`, 0..1."""
    place = min(max(progress, 0.0), 1.0) * TENTHS
    index = min(int(place), TENTHS - 1)
    return pace.gone[index] + (pace.gone[index + 1] - pace.gone[index]) * (place - index)


def stage_left(pace: Pace, work: float, progress: float, elapsed: float) -> float:
    """Seconds that a running stage still needs, `elapsed` seconds after its first progress event.

    The observed pace gains weight as the stage runs, and decides alone after a fifth of the stage's time. On two
    training runs, one real and one synthetic, without a learnt pace, the estimate was off by 17 % at most from there on
    (37 % if the observed pace decides alone only after half of the time).
    """
    gone = gone_at(pace, progress)
    predicted = pace.per_unit * work
    trust = min(1.0, _TRUSTED * gone)
    seen = elapsed / gone if gone > 0 else predicted
    return (1 - gone) * ((1 - trust) * predicted + trust * seen)


def spread_of(paces: Sequence[Pace], share_left: float) -> float:
    """How far off the estimate may be, as a share of the time left: a fifth for stages that ran before; otherwise half,
    until the job has shown how fast its machine is. `share_left`: of the job's time."""
    return 0.2 if all(pace.runs for pace in paces) else 0.2 + 0.3 * min(1.0, max(0.0, share_left))


def left_until_ends(
    stages: Sequence[Stage],
    current: Stage,
    left_in_current: float,
    paces: Mapping[Stage, Pace],
    item: JobItem,
) -> dict[Stage, float]:
    """Seconds to the end of the current stage and of each later stage; the last value is the job's."""
    later = stages[stages.index(current) + 1 :]
    each = [stage_seconds(stage, item, paces[stage]) for stage in later]
    return dict(zip((current, *later), accumulate(each, initial=left_in_current), strict=True))


def whole_job(stages: Sequence[Stage], paces: Mapping[Stage, Pace], item: JobItem) -> tuple[float, float]:
    """The lowest and highest number of seconds that a job is likely to take if it has not begun."""
    return around(sum(stage_seconds(stage, item, paces[stage]) for stage in stages), stages, paces)


def around(amount: float, stages: Sequence[Stage], paces: Mapping[Stage, Pace]) -> tuple[float, float]:
    """The lowest and highest likely amount, if `amount` is expected for all `stages`."""
    spread = spread_of([paces[stage] for stage in stages], 1.0)
    return amount * (1 - spread), amount * (1 + spread)


def in_words(low: float, high: float) -> str:
    """A range such as `about 3–6 min`, which is no more precise than the estimate."""
    if high < 90:
        first, last, unit = _tens(low), _tens(high), "s"
    elif high < 5400:
        first, last, unit = max(1, round(low / 60)), max(1, round(high / 60)), "min"
    else:
        first, last, unit = max(1, round(low / 3600)), max(1, round(high / 3600)), "h"
    return f"about {last} {unit}" if first == last else f"about {first}–{last} {unit}"


def _tens(seconds: float) -> int:
    return max(10, 10 * round(seconds / 10))


def learnt(pace: Pace, waited: float, seconds: float, work: float, marks: Mapping[int, float]) -> Pace:
    """The pace after a run that waited `waited` seconds and worked `seconds`; `marks`: seconds at tenths 1..9.

    A run that seems to have taken no time, because clocks disagree, is ignored.
    """
    if seconds <= 0:
        return pace
    seen = {0: 0.0, TENTHS: 1.0} | {tenth: min(max(at / seconds, 0.0), 1.0) for tenth, at in marks.items()}
    known = sorted(seen)
    gone = [0.0]
    for low, high in pairwise(known):  # tenths without an event are interpolated between those with one
        step = (seen[high] - seen[low]) / (high - low)
        gone += [max(gone[-1], seen[low] + step * (tenth - low)) for tenth in range(low + 1, high + 1)]
    weight = 1.0 if pace.runs == 0 else LEARNING

    def mixed(old: float, new: float) -> float:
        return old + weight * (new - old)

    return Pace(
        waiting=mixed(pace.waiting, waited),
        per_unit=mixed(pace.per_unit, seconds / max(work, 1e-9)),
        usual=mixed(pace.usual, work),
        gone=tuple(mixed(old, new) for old, new in zip(pace.gone, gone, strict=True)),
        runs=pace.runs + 1,
    )


class PaceTable:
    """Partition key `pace`: `<stage>/<machine>/<quality>`."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def read(self, stage: Stage, machine: str, quality: Quality) -> Pace:
        item = self._table.get_item(Key={"pace": f"{stage}/{machine}/{quality}"}).get("Item")
        return Pace.model_validate_json(item["learnt"]) if item else prior(stage, quality)

    def write(self, stage: Stage, machine: str, quality: Quality, pace: Pace) -> None:
        """If two runs end at the same time, the last write wins and one sample is lost."""
        self._table.put_item(Item={"pace": f"{stage}/{machine}/{quality}", "learnt": pace.model_dump_json()})
