"""contract/ is the single source: files generated from it are up to date, and nothing that it defines is defined
again."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from contract.__main__ import generated, main
from contract.blocks import COARSE, MAX_BLOCKS, BlockName
from contract.codes import ErrorCode
from contract.counts import MAX_PHOTOS, MIN_PHOTOS
from contract.events import SOURCE, StatusType
from contract.options import DEFAULT_QUALITY, TEXTS, WHOLE_NUMBERS, Quality
from contract.schemas import schemas
from contract.stages import MAX_JOB_NAME, JobName, PipelineStep, Stage
from contract.warning_codes import WarningCode
from deliver.deliver import DELIVERED

ROOT = Path(__file__).parents[3]
WORLDS = ("functions", "containers", "statemachine", "local", "scripts", "spaceport")
SOURCES = [
    path
    for world in WORLDS
    for path in sorted((ROOT / world).rglob("*.py"))
    if not {"contract", "node_modules"} & set(path.relative_to(ROOT).parts)
]
PAGE = (ROOT / "web" / "index.html").read_text(encoding="utf-8")
CHOSEN = [step for step in PipelineStep if step is not PipelineStep.SCENE]  # that one the service chooses


@cache
def literals(path: Path) -> list[tuple[str, int]]:
    """Whole string literals of a file with their lines; the name of a container's own Python package does not count as
    a stage."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [
        (node.value, node.lineno) for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def written_again(words: set[str]) -> list[str]:
    found = [(path, word, line) for path in SOURCES for word, line in literals(path) if word in words]
    return [f"{path.relative_to(ROOT).as_posix()}:{line}: {word!r}" for path, word, line in found]


def test_what_is_generated_is_up_to_date() -> None:
    assert main(["--check"]) == 0


@pytest.mark.parametrize("name", schemas())
def test_a_schema_is_valid_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


def test_no_schema_is_left_over() -> None:
    files = {path.relative_to(ROOT) for path in (ROOT / "events" / "schemas").iterdir()}
    assert files == {path for path in generated() if path.suffix == ".json"}


def test_no_code_is_written_twice() -> None:
    """STOPPED is also a job status. The client, which is independent, has one code of its own."""
    found = written_again({*ErrorCode, *WarningCode} - {ErrorCode.STOPPED.value})
    assert [line for line in found if not line.startswith("spaceport/client.py:")] == []


def test_no_quality_is_written_twice() -> None:
    assert written_again({*Quality}) == []


def test_no_name_of_a_stage_is_written_twice_but_where_its_container_begins() -> None:
    """Each container's entry point names its stage once."""
    entry_points = [line for line in written_again({*Stage}) if "/__main__.py:" not in line]
    assert entry_points == []


def test_the_page_names_no_stage_but_by_the_contract() -> None:
    literal = re.compile("['\"](" + "|".join(Stage) + ")['\"]")
    modules = [path for path in (ROOT / "web" / "src").glob("*.js") if path.name != "contract.js"]
    assert modules
    assert [path.name for path in modules if literal.search(path.read_text(encoding="utf-8"))] == []


def test_no_variable_of_an_option_is_written_twice() -> None:
    assert written_again({option.variable for options in (WHOLE_NUMBERS, TEXTS) for option in options.values()}) == []


def test_no_type_or_source_of_an_event_is_written_twice() -> None:
    assert written_again({*StatusType, SOURCE}) == []


def test_no_limit_of_photos_is_written_twice() -> None:
    numbers = re.compile(rf"\b(MIN|MAX|FEWEST|MOST)_PHOTOS\s*=\s*({MIN_PHOTOS}|{MAX_PHOTOS}|5_000)\b")
    assert [path for path in SOURCES if numbers.search(path.read_text(encoding="utf-8"))] == []


def test_the_page_offers_the_qualities_and_steps_that_there_are() -> None:
    assert re.findall(r'name="quality" value="(\w+)"', PAGE) == [*Quality]
    assert re.findall(r'name="quality" value="(\w+)" checked', PAGE) == [DEFAULT_QUALITY]
    (steps,) = re.findall(r'<select id="step">(.*?)</select>', PAGE)
    assert re.findall(r'value="(\w+)"', steps) == CHOSEN
    (again,) = re.findall(r'<select id="rerun-quality">(.*?)</select>', PAGE)
    assert re.findall(r"<option>(\w+)<", again) == [*Quality]
    assert f"At least {MIN_PHOTOS} photos" in PAGE


@pytest.mark.parametrize("stage", Stage)
def test_a_job_name_says_what_it_was_made_of(stage: Stage) -> None:
    name = JobName("meadow-0123456789ab-r2", stage, 12)
    assert JobName.parse(str(name)) == name


@pytest.mark.parametrize(("block", "label"), [(1, "b01"), (7, "b07"), (MAX_BLOCKS, f"b{MAX_BLOCKS}"), (COARSE, COARSE)])
def test_a_job_name_says_which_block_it_trains(block: BlockName, label: str) -> None:
    name = JobName("meadow-0123456789ab", Stage.TRAINING, 2, block)
    assert str(name) == f"meadow-0123456789ab-3dgs-{label}-2"
    assert JobName.parse(str(name)) == name


def test_the_longest_job_name_of_a_block_fits() -> None:
    longest = JobName(f"{'m' * 20}-0123456789ab-r99", Stage.TRAINING, 98, COARSE)
    assert len(str(longest)) <= MAX_JOB_NAME


NO_BLOCKS = [f"meadow-{name}-1" for name in ("sfm-b07", "compressor-coarse", "3dgs-b00", "3dgs-b7", "3dgs-b007")]


@pytest.mark.parametrize(
    "text", ["", "another-job", "meadow-sfm-0", "meadow-sfm-1x", "sfm-1", "meadow-mapping-1", *NO_BLOCKS]
)
def test_other_names_are_not_ours(text: str) -> None:
    assert JobName.parse(text) is None


def test_a_job_takes_all_stages_from_where_it_starts() -> None:
    assert PipelineStep.FULL.stages == tuple(Stage)
    assert PipelineStep.SCENE.stages == tuple(Stage)
    for step, first in zip(CHOSEN, (Stage.SFM, Stage.TRAINING, Stage.COMPRESSOR), strict=True):
        before = [stage for stage in Stage if stage.ordinal < first.ordinal]
        assert (*before, *step.stages) == (*Stage,)
        assert step.stages[0] is first
        assert PipelineStep.for_stage(step.first) is step


def test_the_stages_make_up_all_of_a_jobs_progress() -> None:
    assert sum(stage.spec.progress_share for stage in Stage) == pytest.approx(1)


def test_the_page_offers_files_that_are_delivered() -> None:
    offered = re.findall(
        r"^    \['([\w./-]+)', '", (ROOT / "web/src/result.js").read_text(encoding="utf-8"), re.MULTILINE
    )
    own = {"report.html", "viewer.html"}  # written by deliver itself
    assert {"scene.sog", "products/orthophoto.tif", "products/quality.pdf"} <= set(offered)
    assert set(offered) - own <= set(DELIVERED)
