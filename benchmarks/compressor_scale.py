"""One enlarged scene at a given quality, in a process of its own: `… MODEL COUNT DECIBELS`; one line of JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.compressor import Scene, at_decibels, compile_kernels, read_scene
from benchmarks.compressor_scenes import enlarged
from compressor.quality import yardstick
from splat.ply import property_names


def main() -> int:
    model, count, decibels = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    trained = read_scene(model)
    compile_kernels(trained)
    gaussians = enlarged(trained.gaussians, count)
    stick = yardstick(gaussians, trained.views, trained.framing)
    scene = Scene(gaussians, trained.views, trained.framing, None, stick)
    started = time.process_time()
    row = at_decibels(scene, decibels)
    raw = count * 4 * (len(property_names(gaussians.shN.shape[1])) - 3)  # without the normals, that nobody reads
    figures = {
        "gaussians": count,
        "bytes": row.bytes,
        "ratio": round(raw / row.bytes, 2),
        "decibels": row.decibels,
        "cpu_s": round(time.process_time() - started, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
