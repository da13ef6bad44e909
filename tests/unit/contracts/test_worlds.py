"""The worlds of docs/contracts.md stay separate, and each lists its imports in its own requirements.in."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contract.stages import Stage
from tests.support.imports import distributions, imported, normal, third_party, top_level

ROOT = Path(__file__).parents[3]
CONTAINERS = ROOT / "containers"
SHARED = ("stage", "splat", "geo", "products")
CONTRACT = frozenset({"contract"})
# Lambda's runtime contains boto3 and its dependencies
LAMBDA_RUNTIME = {"boto3", "botocore"}
COMES_WITH_BOTO3 = {"botocore"}  # its exceptions and its transport; boto3 pins the matching release
PINNED_BELOW = {"setuptools<81"}  # the newest version in which the Data Science SDK still finds pkg_resources


@dataclass(frozen=True)
class World:
    """`packages`: the project's packages that it may import. `never`: those that it must not import, and that its list
    must not contain even indirectly."""

    name: str
    folder: Path
    packages: frozenset[str]
    never: frozenset[str]
    provided: frozenset[str] = field(default=frozenset())
    further: tuple[Path, ...] = ()  # folders of packages that its image also runs

    @property
    def modules(self) -> dict[str, frozenset[str]]:
        """File → dotted modules that it imports; of the containers' shared code, only files that this world uses."""
        found: dict[Path, frozenset[str]] = {}
        waiting = sorted(path for folder in (self.folder, *self.further) for path in own_files(folder))
        while waiting:
            path = waiting.pop()
            if path not in found:
                found[path] = imported(path)
                waiting += [shared for module in found[path] for shared in shared_files(module)]
        return {path.relative_to(ROOT).as_posix(): modules for path, modules in found.items()}

    @property
    def third_party(self) -> set[str]:
        named = {name for modules in self.modules.values() for name in third_party(modules, PROJECT)}
        return named - self.provided - (COMES_WITH_BOTO3 if "boto3" in named else set())

    @property
    def requirements(self) -> list[str]:
        """The lines of requirements.in (and requirements-cuda.in), without comments. Fails if there is none."""
        path = self.folder / "requirements.in"
        assert path.is_file(), f"{path.relative_to(ROOT)} is missing: it lists what {self.name} imports"
        lists = [path, *self.folder.glob("requirements-cuda.in")]
        text = "\n".join(file.read_text(encoding="utf-8") for file in lists)
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        return [line for line in lines if line and not line.startswith("-r ")]

    @property
    def required(self) -> set[str]:
        return {normal(re.split(r"[\[<=>~! ]", line)[0]) for line in self.requirements}


def own_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.py") if "node_modules" not in path.parts)


def shared_files(module: str) -> list[Path]:
    """The file of a module of the containers' shared packages; none for other modules."""
    if module.partition(".")[0] not in SHARED:
        return []
    base = CONTAINERS.joinpath(*module.split("."))
    return [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]


def packages_in(folder: Path) -> frozenset[str]:
    modules = {path.stem for path in folder.glob("*.py")}
    return frozenset(modules | {path.parent.name for path in folder.glob("*/__init__.py")})


def container(name: str, *further: str) -> World:
    folder = CONTAINERS / name
    return World(
        name=f"containers/{name}",
        folder=folder,
        packages=packages_in(folder) | {*SHARED, *CONTRACT},
        never=frozenset({"stepfunctions", "sagemaker", "aws_lambda_powertools", "pydantic", "ministack"}),
        further=tuple(CONTAINERS / package for package in further),
    )


FURTHER = {Stage.COMPRESSOR: ("products",)}  # packages of SHARED that an image runs as separate programs
SCIENCE = {"numpy", "numba", "torch", "pycolmap", "cv2", "PIL", "scipy", "gsplat"}
WORLDS = [
    World(
        name="functions",
        folder=ROOT / "functions",
        packages=packages_in(ROOT / "functions"),
        never=frozenset({"sagemaker", "stepfunctions", "ministack", *SCIENCE}),
        provided=frozenset(LAMBDA_RUNTIME),
    ),
    World(
        name="statemachine",
        folder=ROOT / "statemachine",
        packages=packages_in(ROOT / "statemachine"),
        never=frozenset({"boto3", "aws_lambda_powertools", *SCIENCE}),
    ),
    *(container(stage, *FURTHER.get(stage, ())) for stage in Stage),
    World(
        name="local",
        folder=ROOT / "local",
        packages=frozenset({"local", *CONTRACT}),
        never=frozenset({"stepfunctions", "sagemaker", "aws_lambda_powertools", *SCIENCE}),
    ),
    World(
        name="spaceport",
        folder=ROOT / "spaceport",
        packages=frozenset({"spaceport", "local", "deliver", "domain", *CONTRACT}),
        never=frozenset({"stepfunctions", "sagemaker", "aws_lambda_powertools", "ministack", *SCIENCE}),
        provided=frozenset({"botocore"}),  # in the stages' own lists, which an installation has in any case
    ),
    World(
        name="sample",
        folder=ROOT / "sample",
        packages=frozenset({"sample"}),
        never=frozenset({"boto3", "stepfunctions", "sagemaker", "aws_lambda_powertools", "torch", "pycolmap"}),
    ),
]
PROJECT = frozenset(package for world in WORLDS for package in world.packages)
each_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)


@each_world
def test_a_world_is_not_empty(world: World) -> None:
    assert world.modules


def test_the_contract_imports_the_standard_library_alone() -> None:
    modules = {module for path in (ROOT / "contract").rglob("*.py") for module in imported(path)}
    assert top_level(modules) <= sys.stdlib_module_names | CONTRACT


def test_splat_imports_nothing_of_the_stages() -> None:
    """The Gaussians and their rasteriser can be used without SageMaker's contract; stages translate splat's errors."""
    modules = {module for path in own_files(CONTAINERS / "splat") for module in imported(path)}
    assert top_level(modules) & PROJECT <= {"splat", *CONTRACT}


@pytest.mark.parametrize(
    ("package", "above"), [("sog", {"encode", "deliver", "stage"}), ("encode", {"deliver"}), ("deliver", {"stage"})]
)
def test_the_compressors_packages_import_only_those_below(package: str, above: set[str]) -> None:
    """The format, the optimisation on top of it, and the delivered files around the SOG."""
    folder = CONTAINERS / "compressor" / "compressor" / package
    modules = {module for path in own_files(folder) for module in imported(path)}
    assert modules
    forbidden = (*(f"compressor.{name}" for name in above), *({"stage"} & above))
    assert [module for module in modules if module.startswith(forbidden)] == []


@each_world
def test_a_world_imports_no_other_worlds_code(world: World) -> None:
    strangers = {path: top_level(modules) & (PROJECT - world.packages) for path, modules in world.modules.items()}
    assert {path: names for path, names in strangers.items() if names} == {}


@each_world
def test_a_world_imports_nothing_it_must_not(world: World) -> None:
    found = {path: top_level(modules) & world.never for path, modules in world.modules.items()}
    assert {path: names for path, names in found.items() if names} == {}


@each_world
def test_a_world_lists_what_it_imports(world: World) -> None:
    unlisted = {package for package in world.third_party if not distributions(package) & world.required}
    assert unlisted == set()


@each_world
def test_a_world_lists_nothing_it_must_not_import(world: World) -> None:
    assert world.required & {name for package in world.never for name in distributions(package)} == set()


@each_world
def test_a_world_pins_exactly(world: World) -> None:
    loose = {line for line in world.requirements if not re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+", line)}
    assert loose - PINNED_BELOW == set()


def test_a_lambda_bundle_holds_no_science_and_no_sdk_of_another_world() -> None:
    lines = (ROOT / "functions" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    locked = {normal(line.partition("==")[0]) for line in lines if "==" in line and not line.startswith("#")}
    heavy = {"numpy", "torch", "sagemaker", "stepfunctions", "boto3", "botocore", "moto", "ministack"}
    assert "aws-lambda-powertools" in locked
    assert locked & heavy == set()


def test_the_lock_holds_what_the_functions_list() -> None:
    lines = (ROOT / "functions" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    locked = {line.partition(" ")[0] for line in lines}
    listed = {re.sub(r"\[.*\]", "", line) for line in WORLDS[0].requirements}
    assert listed <= locked
