"""`make bench-compressor`: compare our SOG with splat-transform's SOG and SPZ 4 in one run; also presets and scene
size.

Quality is measured on pictures from held-out cameras, decoded splat against original, in our renderer; each program's
files are decoded by that program. Seconds are CPU seconds. The last line is one line of JSON, figures by name.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.compressor_peers import convert
from benchmarks.compressor_scaling import named as named_by_size
from benchmarks.compressor_scaling import scaling
from benchmarks.compressor_scenes import ROOT, Scene, read_scene, sample_model, smallest, trained
from compressor.encode.compress import compress
from compressor.encode.encoder import Coarseness, arrange, quantise
from compressor.encode.harmonics import quantise_harmonics
from compressor.encode.pace import Pace
from compressor.encode.prepared import measured
from compressor.encode.presets import Preset
from compressor.encode.sensitivity import measure_sensitivity
from compressor.sog.container import pack_files, read_codes, zip_files
from compressor.sog.decoder import dequantise

SIZES = (50_000, 250_000, 1_000_000)


@dataclass(frozen=True)
class Row:
    """One file."""

    name: str
    bytes: int
    decibels: float
    cpu_seconds: float


def at_palette(scene: Scene, palette_size: int) -> Row:
    """Our finest file with a palette of the peer's size."""
    started = time.process_time()
    ordered = arrange(scene.gaussians)
    sensitivity, _ = measure_sensitivity(ordered, scene.views, scene.framing, Pace())
    codes = quantise(ordered, sensitivity, Coarseness(), quantise_harmonics(ordered, sensitivity, palette_size))
    sog = zip_files(pack_files(codes))
    seconds = time.process_time() - started
    return Row("ours, the peer's palette size", len(sog), scene.decibels(dequantise(read_codes(sog))), seconds)


def at_decibels(scene: Scene, decibels: float) -> Row:
    """Our smallest file of at least `decibels`, everything from the splat on counted."""
    started = time.process_time()
    arranged, seen = measured(arrange(scene.gaussians), scene.views, scene.framing, Pace())
    sog = smallest(arranged, seen, scene.stick, decibels)
    seconds = time.process_time() - started
    return Row(f"ours at {decibels:.1f} dB", len(sog), scene.decibels(dequantise(read_codes(sog))), seconds)


def compare(scene: Scene, model: Path) -> list[Row]:
    """The files of all programs for the splat in the folder `model`."""
    sog, spz = (convert(model / "scene.ply", model / f"peer/scene.{kind}") for kind in ("sog", "spz"))
    palette = read_codes(sog.path.read_bytes()).palette
    rows = [
        Row("splat-transform SOG", sog.bytes, scene.decibels(sog.decoded), sog.cpu_seconds),
        Row("splat-transform SPZ 4", spz.bytes, scene.decibels(spz.decoded), spz.cpu_seconds),
    ]
    if palette is not None:
        rows.append(at_palette(scene, len(palette.codes)))
    return rows + [at_decibels(scene, decibels) for decibels in (50.0, 45.0, rows[1].decibels)]


def presets(scene: Scene) -> list[dict[str, Any]]:
    """The loss of each preset in PSNR against held-out photos; empty if there are no such photos."""
    if scene.held_out is None:
        return []
    lines = []
    for preset in Preset:
        result = compress(arrange(scene.gaussians), scene.views, scene.held_out, scene.framing, preset, Pace())
        loss = round(result.loss, 4)
        lines.append({"preset": preset.value, "bytes": len(result.sog), "loss_db": loss, "fidelity": result.fidelity})
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, nargs="*", help="further ZIPs of photos, or folders as 3dgs leaves them")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="Gaussians of the enlarged scenes")
    arguments = parser.parse_args()
    build = ROOT / ".build"
    models = {"sample": sample_model(build)}
    models |= {path.stem: path if path.is_dir() else trained(path, build) for path in arguments.sets}
    compile_kernels(read_scene(models["sample"]))
    named: dict[str, Any] = {}
    for name, model in models.items():
        named |= {f"{name}_{key}": value for key, value in beside_peers(name, model).items()}
    named |= named_by_size(scaling(models["sample"], tuple(arguments.sizes)))
    print(json.dumps(named))
    return 0


def beside_peers(name: str, model: Path) -> dict[str, Any]:
    """Figures of one set by name, printed as a table too."""
    scene = read_scene(model)
    rows = compare(scene, model)
    print_rows(f"{name}, {len(scene.gaussians):,} Gaussians", rows)
    lines = presets(scene)
    for line in lines:
        print(f"{line['preset']:<10} {line['bytes']:>11,} bytes {line['loss_db']:>8.4f} dB of held-out PSNR lost")
    print(flush=True)
    return figures(len(scene.gaussians), rows, lines)


def compile_kernels(scene: Scene) -> None:
    """Compile all kernels, so that no measurement includes it."""
    at_decibels(scene, 45.0)


def print_rows(title: str, rows: list[Row]) -> None:
    peer = rows[0]
    print(f"{title:<32} {'bytes':>11} {'of SOG':>7} {'dB':>7} {'CPU-s':>8}")
    for row in rows:
        share = row.bytes / peer.bytes
        print(f"{row.name:<32} {row.bytes:>11,} {share:>7.3f} {row.decibels:>7.2f} {row.cpu_seconds:>8.1f}")


def figures(count: int, rows: list[Row], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures by name."""
    sog, spz, *ours = rows
    named: dict[str, Any] = {"gaussians": count}
    names = ["at_palette", "at_50", "at_45", "at_spz"][-len(ours) :]
    for name, row in [("sog", sog), ("spz", spz), *zip(names, ours, strict=True)]:
        named |= {
            f"{name}_bytes": row.bytes, f"{name}_db": row.decibels, f"{name}_cpu_s": round(row.cpu_seconds, 2)
        }  # fmt: skip
    named |= {f"{name}_of_sog": round(row.bytes / sog.bytes, 4) for name, row in zip(names, ours, strict=True)}
    named["at_spz_of_spz"] = round(ours[-1].bytes / spz.bytes, 4)
    if names[0] == "at_palette":
        named["cpu_ratio"] = round(sog.cpu_seconds / ours[0].cpu_seconds, 1)
    named |= {f"{line['preset']}_{key}": line[key] for line in lines for key in ("bytes", "loss_db")}
    return named


if __name__ == "__main__":
    sys.exit(main())
