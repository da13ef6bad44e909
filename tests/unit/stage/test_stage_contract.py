"""One stage run: what it reads, what it publishes while it works, and what it leaves behind, however it ends."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoRegionError

from contract.branding import Company
from contract.events import progress_sequence
from contract.files import write_json
from contract.stages import Stage
from stage.contract import Folders, StageContext, Stopwatch, as_stage_error, region_of, run_stage
from stage.environment import StageEnvironment
from stage.errors import ErrorCode, StageError
from stage.progress import ProgressReporter, event_bridge_sink
from stage.result import Resources, StageOutcome, Warning, write_result


def run(root: Path, work: Any, **environ: str) -> int:
    return run_stage("sfm", lambda folders: folders.processing_output, work, {"ML_ROOT": str(root), **environ})


# environment


def test_the_environment_is_typed_and_has_defaults() -> None:
    given = {"JOB_ID": "j-1", "ATTEMPT": "2", "STATUS_BUS": "bus", "QUALITY": "high", "TRAINING_STEPS": "500"}
    environment = StageEnvironment.read({**given, "MAX_GAUSSIANS": "1000", "SH_DEGREE": "0", "SCENE_NAME": "farm"})
    assert (environment.job_id, environment.attempt, environment.status_bus) == ("j-1", 2, "bus")
    options = environment.options
    assert (options.quality, options.training_steps, options.max_gaussians) == ("high", 500, 1000)
    assert (options.sh_degree, options.scene_name) == (0, "farm")
    empty = StageEnvironment.read({})
    assert (empty.job_id, empty.attempt, empty.status_bus) == ("local", 1, None)
    assert empty.ml_root == Path("/opt/ml")
    assert empty.options.company == Company()
    company = Company("Söhne & Co", "Ulm", "logo.png")
    assert StageEnvironment.read(company.variables).options.company == company
    assert (empty.options.quality, empty.options.training_steps, empty.options.sh_degree) == ("standard", None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("QUALITY", "best"), ("ATTEMPT", "0"), ("TRAINING_STEPS", "many"), ("MAX_GAUSSIANS", "-1"), ("SH_DEGREE", "4")],
)
def test_a_wrong_option_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(StageError, match=name) as caught:
        StageEnvironment.read({name: value})
    assert caught.value.code is ErrorCode.INVALID_OPTION
    assert run(tmp_path, lambda _context: pytest.fail("must not start"), **{name: value}) == 1
    assert (tmp_path / "output" / "message").read_text().startswith(f"INVALID_OPTION: {name}")


# a run


def test_a_run_leaves_a_result_and_an_empty_scratch(tmp_path: Path) -> None:
    scratches: list[Path] = []

    def work(context: StageContext) -> StageOutcome:
        scratches.append(context.scratch)
        (context.scratch / "rubbish").write_text("x")
        with context.stopwatch("thinking"):
            (context.folders.processing_output / "images").mkdir()
            (context.folders.processing_output / "images" / "1.txt").write_text("hello")
        warnings = [Warning("PHOTOS_SKIPPED", "one is cut off", ["a.jpg"])]
        return StageOutcome({"photos": 3}, {"gpsRms": None}, context.stopwatch.seconds, warnings)

    assert run(tmp_path, work, JOB_ID="job-7", ATTEMPT="3") == 0
    result = json.loads((tmp_path / "processing" / "output" / "result.json").read_text())
    assert (result["version"], result["stage"], result["jobId"], result["attempt"]) == (1, "sfm", "job-7", 3)
    assert result["counts"] == {"photos": 3}
    assert result["metrics"] == {"gpsRms": None}
    assert result["timings"]["thinking"] >= 0
    assert result["warnings"] == [{"code": "PHOTOS_SKIPPED", "message": "one is cut off", "names": ["a.jpg"]}]
    assert result["files"] == [{"path": "images/1.txt", "bytes": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}]
    assert result["resources"]["cpuSeconds"] > 0
    assert result["resources"]["peakMemoryBytes"] > 1_000_000
    assert not scratches[0].exists()
    assert not (tmp_path / "output").exists()


def test_the_last_event_carries_counts_and_metrics_as_far_as_eventbridge_takes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exposure = [{"name": f"{number}.jpg", "gain": [1.0, 1.0, 1.0]} for number in range(5000)]

    def work(context: StageContext) -> StageOutcome:
        return StageOutcome({"photos": 5000}, {"exposure": exposure, "gpsRms": None}, {}, [])

    assert run(tmp_path, work) == 0
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (last["progress"], last["metrics"]) == (1.0, {"photos": 5000, "gpsRms": None})


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StageError(ErrorCode.NO_OVERLAP, "no two photos"), "NO_OVERLAP: no two photos"),
        (MemoryError(), "OUT_OF_MEMORY: the stage ran out of memory"),
        (OSError(errno.ENOSPC, "No space left"), "DISK_FULL: the disk of the job's machine is full"),
        (OSError(errno.EACCES, "denied"), "INTERNAL: PermissionError: [Errno 13] denied"),
        (KeyboardInterrupt(), "INTERRUPTED: the job was interrupted"),
        (ValueError("x" * 5000), "INTERNAL: ValueError: " + "x" * 978),
    ],
)
def test_every_end_leaves_its_coded_reason_and_no_result(tmp_path: Path, error: BaseException, reason: str) -> None:
    def work(_context: StageContext) -> StageOutcome:
        raise error

    assert run(tmp_path, work) == 1
    for name in ("failure", "message"):
        assert (tmp_path / "output" / name).read_text() == reason
    assert not (tmp_path / "processing" / "output" / "result.json").exists()


def test_a_gpu_that_breaks_is_the_platforms_fault() -> None:
    error = RuntimeError("CUDA error: uncorrectable ECC error encountered")
    assert as_stage_error(error).code is ErrorCode.PLATFORM_FAULT


def test_a_reason_is_logged_even_where_no_folder_can_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in SageMaker's /opt/ml for any user but root."""
    root = tmp_path / "ml"
    root.write_text("")
    assert run(root, lambda _context: pytest.fail("must not start")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("INTERNAL: NotADirectoryError") for line in lines)


def test_the_reason_is_logged_before_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "output").write_text("a file where the folder should be")

    def work(_context: StageContext) -> StageOutcome:
        raise StageError(ErrorCode.NO_OVERLAP, "no two photos")

    assert run(tmp_path, work) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines.index("NO_OVERLAP: no two photos") < next(
        i for i, line in enumerate(lines) if "was not written" in line
    )


def test_scratch_is_on_the_volume_that_sagemaker_mounts(tmp_path: Path) -> None:
    found: dict[str, Path] = {}

    def work(context: StageContext) -> StageOutcome:
        found["scratch"] = context.scratch
        return StageOutcome({}, {}, {})

    assert run(tmp_path, work) == 0
    assert found["scratch"].is_relative_to(tmp_path / "processing")
    assert run_stage("3dgs", lambda folders: folders.model, work, {"ML_ROOT": str(tmp_path)}) == 0
    assert found["scratch"].is_relative_to(tempfile.gettempdir())
    assert not found["scratch"].is_relative_to(tmp_path / "processing")


@pytest.mark.parametrize("kind", ["PROCESSING", "TRAINING"])
def test_the_region_is_that_of_the_jobs_own_arn(kind: str) -> None:
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:{kind.lower()}-job/meadow"
    assert region_of({f"{kind}_JOB_ARN": arn}) == "eu-west-1"
    assert region_of({}) is None


def test_a_stage_without_a_client_for_its_events_works_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_region(*_arguments: object, **_named: object) -> object:
        raise NoRegionError

    monkeypatch.setattr(boto3, "client", no_region)
    assert run(tmp_path, lambda _context: StageOutcome({}, {}, {}), STATUS_BUS="bus") == 0
    assert "progress stays in the log: You must specify a region." in capsys.readouterr().err


def test_an_accelerators_own_memory_error_is_known_by_name() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    assert as_stage_error(OutOfMemoryError("CUDA out of memory")).code is ErrorCode.OUT_OF_MEMORY


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_that_a_library_of_cudas_lacks_is_memory_too(words: str) -> None:
    """A retry after OUT_OF_MEMORY trains fewer Gaussians; after INTERNAL, it would fail in the same way."""
    assert as_stage_error(RuntimeError(words)).code is ErrorCode.OUT_OF_MEMORY


def test_sigterm_asks_the_work_to_stop(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work(context: StageContext) -> StageOutcome:
        context.check_stop()
        os.kill(os.getpid(), signal.SIGTERM)
        context.check_stop()
        raise AssertionError("unreachable")

    try:
        assert run(tmp_path, work) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (tmp_path / "output" / "failure").read_text() == "INTERRUPTED: the job was asked to stop"


def test_folders_are_sagemakers() -> None:
    folders = Folders(Path("/opt/ml"))
    assert folders.processing_input("upload") == Path("/opt/ml/processing/input/upload")
    assert folders.processing_output == Path("/opt/ml/processing/output")
    assert folders.channel("scene") == Path("/opt/ml/input/data/scene")
    assert (folders.model, folders.checkpoints) == (Path("/opt/ml/model"), Path("/opt/ml/checkpoints"))
    assert folders.output == Path("/opt/ml/output")


def test_the_stopwatch_adds_up_and_survives_errors() -> None:
    stopwatch = Stopwatch()
    with stopwatch("a"):
        pass
    first = stopwatch.seconds["a"]
    with pytest.raises(RuntimeError), stopwatch("a"):
        raise RuntimeError
    assert stopwatch.seconds["a"] > first


# progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def reporter() -> tuple[ProgressReporter, list[dict[str, Any]], Clock]:
    events: list[dict[str, Any]] = []
    clock = Clock()
    return ProgressReporter("sfm", "job-1", 2, lambda detail: events.append(detail), clock), events, clock


def test_progress_never_runs_backwards_and_comes_once_a_second() -> None:
    progress, events, clock = reporter()
    for now, value in ((0.0, 0.1), (0.5, 0.3), (1.1, 0.2), (2.2, 0.301), (2.3, 1.0), (9.0, 1.0)):
        clock.now = now
        progress.report(value, "working", {"photos": 4})
    assert [event["progress"] for event in events] == [0.1, 0.3, 1.0]
    first = events[0]
    assert (first["version"], first["jobId"], first["stage"], first["attempt"]) == ("1", "job-1", "sfm", 2)
    assert first["metrics"] == {"photos": 4}
    assert first["at"].endswith("Z")
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)


def test_a_stage_that_stands_still_still_beats() -> None:
    progress, events, clock = reporter()
    for now in range(0, 61, 5):
        clock.now = float(now)
        progress.report(0.5, "thinking")
    assert len(events) == 4  # at 0, 20, 40, 60 s


def test_sequence_numbers_order_stages_attempts_and_progress() -> None:
    assert progress_sequence(Stage.SFM, 1, 0.0) == 1_010_001
    assert progress_sequence(Stage.COMPRESSOR, 2, 1.0) == 3_021_001
    assert progress_sequence(Stage.SFM, 2, 0.0) > progress_sequence(Stage.SFM, 1, 1.0)
    assert progress_sequence(Stage.SFM, 5000, 1.0) < 1_999_999 < progress_sequence(Stage.TRAINING, 1, 0.0)


def test_events_go_to_the_bus_and_a_lost_one_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    class Bus:
        def __init__(self) -> None:
            self.entries: list[dict[str, Any]] = []

        def put_events(self, Entries: list[dict[str, Any]]) -> None:
            self.entries += Entries
            if len(self.entries) > 1:
                raise ConnectionError("bus is gone")

    bus = Bus()
    sink = event_bridge_sink("spaceport", bus)
    sink({"progress": 0.5})
    sink({"progress": 0.6})
    assert bus.entries[0]["Source"] == "spaceport.pipeline"
    assert bus.entries[0]["DetailType"] == "Stage Progressed"
    assert bus.entries[0]["EventBusName"] == "spaceport"
    assert json.loads(bus.entries[0]["Detail"]) == {"progress": 0.5}
    assert "progress event not sent: bus is gone" in capsys.readouterr().err


# result


def test_the_manifest_lists_every_file_once_and_not_itself(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.bin").write_bytes(bytes(1000))
    (tmp_path / "a.txt").write_text("ä")
    resources = Resources(1.0, 2.0, 3)
    outcome = StageOutcome({}, {}, {"part": 0.123456})
    manifest = write_result(tmp_path, "sfm", "j", 1, outcome, resources)
    assert [(row["path"], row["bytes"]) for row in manifest["files"]] == [("a.txt", 2), ("b/two.bin", 1000)]
    assert manifest["timings"] == {"part": 0.123}
    assert json.loads((tmp_path / "result.json").read_text()) == manifest


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": "é"})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": "é"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
