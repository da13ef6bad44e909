#!/usr/bin/env bash
# The GPU path on a CUDA machine without a network: scripts/gpu_check.sh [seconds, 540]. `make gpu-bundle` fills .gpu/
# before. Builds gsplat, holds its pictures and gradients to the CPU rasteriser's, trains ours beside gsplat's own
# strategies while time is left. Results in $OUT (default out/gpu); a second call goes on where the first one ended.
# Wants: Python 3.11 to 3.13 with torch for CUDA, numpy, numba, scipy, Pillow, rich, jaxtyping; nvcc; a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
LIMIT=${1:-540}
OUT=${OUT:-$PWD/out/gpu}
PYTHON=${PYTHON:-python3}
started=$SECONDS
mkdir -p "$OUT"
say() { echo "[$((SECONDS - started)) s] $*" >&2; }

"$PYTHON" -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "no CUDA GPU: nothing to check")'
architecture=$("$PYTHON" -c 'import torch; print("%d.%d" % torch.cuda.get_device_capability())')
say "$("$PYTHON" -c 'import sys, torch; print(sys.version.split()[0], torch.__version__, torch.cuda.get_device_name())')"

built="$OUT/site"
if [ ! -e "$built/ready" ]; then
  mkdir -p "$built"
  "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$built" .gpu/*.whl
  mkdir -p "$built/sources"
  tar xzf .gpu/gsplat-*.tar.gz --strip-components=1 -C "$built/sources"
  say "compiling gsplat for $architecture"
  if ! (cd "$built/sources" && PATH="$built/bin:$PATH" TORCH_CUDA_ARCH_LIST=$architecture MAX_JOBS=$(nproc) \
    "$PYTHON" setup.py -q build_ext --inplace) >"$OUT/build.log" 2>&1; then
    tail -n 30 "$OUT/build.log" >&2
    say "gsplat does not build"
    exit 1
  fi
  touch "$built/ready"
fi
export PYTHONPATH="$built/sources:$built:containers:containers/3dgs:." OMP_WAIT_POLICY=PASSIVE NUMBA_CACHE_DIR="$OUT/numba"
"$PYTHON" -c 'import gsplat.csrc' || { say "gsplat's kernels do not load"; exit 1; }
say "built"
"$PYTHON" -m benchmarks.gpu .gpu/scenes/* --seconds $((LIMIT - (SECONDS - started) - 10)) --out "$OUT" | tee "$OUT/last-line.json"
say "done"
