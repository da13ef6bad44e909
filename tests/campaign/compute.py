"""SageMaker jobs that wait, run, report progress and end at random, as real ones do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from contract.blocks import BLOCKS_FILE
from contract.stages import Stage
from domain.stages import StageRun
from tests.campaign.storage import Storage
from tests.campaign.world import World
from tests.support.blocks import strip_of
from tests.support.cloud import empty_result
from tests.support.fakes import RUNNING, FakeJob, FakeSageMaker

# how jobs end, and how often: weights of a random choice
OUTCOMES = {
    "completes": 60,
    "completes silently": 8,  # no progress, no event of its end
    "wrong photos": 6,
    "out of memory": 6,
    "killed": 4,  # SIGKILL by the kernel for its memory
    "interrupted": 8,
    "interrupted with notice": 3,  # SIGTERM, and the container exits with the code for it
    "no capacity": 3,
    "disk full": 2,
    "fails by itself": 3,  # SageMaker's own fault
    "hangs": 3,
}
DROUGHT = 0.1  # how often a job finds no Spot machine for as long as it may wait
TAKEN = 0.1  # how often its Spot machine is taken away half way
ENDED = ("Completed", "Failed", "Stopping", "Stopped", "Interrupted", "MaxRuntimeExceeded", "MaxWaitTimeExceeded")
# outcomes for which the container reports a code
NAMED = {
    "wrong photos": "NO_OVERLAP",
    "out of memory": "OUT_OF_MEMORY",
    "interrupted with notice": "INTERRUPTED",
    "disk full": "DISK_FULL",
}


class Machines(FakeSageMaker):
    """`changed` is called when a job's status changes, `progressed` when its container reports progress.
    `twice` collects the runs that started while another job of their stage was running."""

    def __init__(
        self,
        world: World,
        storage: Storage,
        changed: Callable[[StageRun, str], None],
        progressed: Callable[[StageRun, float], None],
    ) -> None:
        super().__init__()
        self._world, self._storage, self._changed, self._progressed = world, storage, changed, progressed
        self.twice: list[str] = []
        self.ended: dict[str, float] = {}  # when each job ended, by name
        self.damaged: set[str] = set()  # jobs whose result.json is no result
        self.clock = world.at

    def _create(self, kind: Literal["Processing", "Training"], request: dict[str, Any]) -> dict[str, Any]:
        answer = super()._create(kind, request)
        run = StageRun.parse(request[f"{kind}JobName"])
        assert run is not None
        for name in self.created[:-1]:
            other = StageRun.parse(name)
            assert other is not None
            same = (other.job_id, other.stage, other.block) == (run.job_id, run.stage, run.block)
            if same and self.jobs[name].status == "InProgress":
                self.twice.append(run.job_name)
        if self._on_spot(run) and self._world.faults.crash and self._world.happens(DROUGHT):
            limit = request["StoppingCondition"]["MaxWaitTimeInSeconds"]
            self._world.after(limit, lambda: self._finish(run, "no Spot capacity"))
        else:
            self._world.after(self._world.random.uniform(60, 600), lambda: self._begin(run))
        return answer

    def _on_spot(self, run: StageRun) -> bool:
        return bool(self.jobs[run.job_name].request.get("EnableManagedSpotTraining"))

    def _take(self, run: StageRun) -> None:
        """The Spot machine goes, and SageMaker looks for another."""
        if self.jobs[run.job_name].status != "InProgress":
            return
        self.wait(run.job_name, "Interrupted")
        self._changed(run, "InProgress")
        seconds = self._world.random.choice([self._world.random.uniform(60, 600), 40_000.0])
        self._world.after(seconds, lambda: self._begin(run))

    def _stop(self, kind: Literal["Processing", "Training"], request: dict[str, Any]) -> dict[str, Any]:
        answer = super()._stop(kind, request)
        name = request[f"{kind}JobName"]
        run = StageRun.parse(name)
        assert run is not None
        self._world.after(self._world.random.uniform(1, 120), lambda: self._finish(run, "stopped"))
        return answer

    def _begin(self, run: StageRun) -> None:
        if self.jobs[run.job_name].status != "InProgress":
            return
        names = list(OUTCOMES) if self._world.faults.crash else ["completes"]
        (outcome,) = self._world.random.choices(names, [OUTCOMES[name] for name in names])
        self.start(run.job_name)
        silent = outcome == "completes silently"
        seconds = self._world.random.uniform(300, min(5000, 0.9 * run.stage.spec.max_runtime))
        if not silent:
            self._changed(run, "InProgress")
            reports = max(1, int(seconds / 400))
            for report in range(1, reports + 1):
                share = report / (reports + 1)
                self._world.after(seconds * share, lambda share=share: self._report(run, share))  # type: ignore[misc]
        limit = float(self._limit(run))
        if outcome == "hangs" or seconds > limit:
            outcome, seconds = "hangs", limit
        if self._on_spot(run) and self._world.faults.crash and self._world.happens(TAKEN):
            self._world.after(seconds / 2, lambda: self._take(run))
        else:
            self._world.after(seconds, lambda: self._finish(run, outcome))

    def _limit(self, run: StageRun) -> int:
        seconds: int = self.jobs[run.job_name].request["StoppingCondition"]["MaxRuntimeInSeconds"]
        return seconds

    def _report(self, run: StageRun, share: float) -> None:
        if self.jobs[run.job_name].status == "InProgress":
            self._progressed(run, share)

    def _finish(self, run: StageRun, outcome: str) -> None:
        name = run.job_name
        if self.jobs[name].status not in RUNNING:
            return
        if self.jobs[name].status == "Stopping":
            outcome = "stopped"
        training = run.stage.kind == "Training"
        self.ended[name] = self._world.now
        if outcome.startswith("completes"):
            self._write_result(run)
            self.complete(name)
        elif outcome == "no Spot capacity":
            self.end_waiting(name, SecondaryStatus="MaxWaitTimeExceeded")
        elif outcome == "stopped" and self.jobs[name].started_at is None:
            self.end_waiting(name)
        elif outcome == "stopped":
            self.end_stopped(name)
        elif outcome == "interrupted":
            self.end_stopped(name, 60, **({"SecondaryStatus": "Interrupted"} if training else {}))
        elif outcome == "hangs":
            status = {"SecondaryStatus": "MaxRuntimeExceeded"} if training else {}
            self.end_stopped(name, self._limit(run), **status)
        elif outcome == "no capacity":
            self.fail(name, FailureReason="CapacityError: Unable to provision requested ML compute capacity")
        elif outcome == "fails by itself":
            self.fail(name, FailureReason="InternalServerError: We encountered an internal error.  Please try again.")
        elif outcome == "killed":
            self.fail(name, FailureReason="AlgorithmError: , exit code: 137")
        else:
            message = f"{NAMED[outcome]}: as found"
            self.fail(
                name, 60, **({"FailureReason": f"AlgorithmError: {message}"} if training else {"ExitMessage": message})
            )
        if outcome != "completes silently":
            self._changed(run, self.jobs[name].status)

    def _write_result(self, run: StageRun) -> None:
        request = self.jobs[run.job_name].request
        if run.stage.kind == "Training":
            uri = f"{request['OutputDataConfig']['S3OutputPath']}/{run.job_name}/output/model"
        else:
            uri = request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        result = empty_result(uri)
        if run.stage is Stage.SFM and self._world.happens(self._world.large):
            blocks = self._world.random.randint(*self._world.blocks)
            result["counts"] = {"blocks": blocks}
            plan = json.dumps(strip_of(blocks).as_json()).encode()
            self._storage.put_object(Bucket=bucket, Key=f"{key}/{BLOCKS_FILE}", Body=plan)
        body = json.dumps(result)
        if self._world.happens(self._world.faults.damaged):
            self.damaged.add(run.job_name)
            others = json.dumps(empty_result(uri) | {"jobId": "somebody-elses-job"})
            body = self._world.random.choice(["", body[:-9], "[]", "{}", others])
        self._storage.put_object(Bucket=bucket, Key=f"{key}/result.json", Body=body.encode())

    def _find(self, kind: Literal["Processing", "Training"], verb: str, request: dict[str, Any]) -> FakeJob:
        """A description may be a moment behind the job."""
        job = super()._find(kind, verb, request)
        lately = self._world.now - self.ended.get(job.name, -1e9) < 90
        if verb == "Describe" and lately and self._world.happens(self._world.faults.behind):
            moves = [move for move in job.moves if move[0] not in ENDED]
            return FakeJob(job.kind, job.request, "InProgress", {}, job.started_at, None, job.created_at, moves)
        return job
