"""Compress one enlarged scene at a given quality in a separate process: `… MODEL SPLAT.ply DECIBELS`; prints JSON.

The cameras are those of MODEL. Seconds are measured from the splat in memory to the file; memory is that of the whole
process, including reading.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks.compressor_scenes import read_scene, smallest
from compressor.encode.encoder import arrange
from compressor.encode.pace import Pace
from compressor.encode.prepared import measured
from compressor.encode.quality import yardstick
from compressor.sog.container import read_codes
from compressor.sog.decoder import dequantise
from splat.loss import psnr
from splat.ply import property_names, read_ply


def main() -> int:
    model, splat, decibels = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    trained = read_scene(model)
    views, framing = trained.views, trained.framing
    del trained
    gaussians = read_ply(splat)
    stick = yardstick(gaussians, views, framing)
    count = len(gaussians)
    raw = count * 4 * (len(property_names(gaussians.shN.shape[1])) - 3)  # without the normals, that nobody reads
    started = time.process_time()
    arranged, seen = measured(arrange(gaussians), views, framing, Pace())
    del gaussians
    sog = smallest(arranged, seen, stick, decibels)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "gaussians": count,
        "bytes": len(sog),
        "ratio": round(raw / len(sog), 2),
        "decibels": round(psnr(stick.mean_squared_error(dequantise(read_codes(sog)))), 2),
        "cpu_s": round(seconds, 1),
        "peak_mb": round(peak / 1e3),
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
