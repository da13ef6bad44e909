#!/usr/bin/env bash
# Checks the GPU path on a CUDA machine without a network: scripts/gpu_check.sh [seconds, 540]. Run `make gpu-bundle`
# first: it fills .gpu/. The script builds gsplat, compares its pictures and gradients with the CPU rasteriser's, and
# trains with our trainer and gsplat's own strategies while time is left. Everything is kept in out/gpu, so that a second
# call continues where the first one ended; the results are copied to $OUT if it is set. The last line is one line of
# JSON. Needs Python 3.11 to 3.13 with torch for CUDA, NumPy, numba, SciPy and Pillow, nvcc, and a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
LIMIT=${1:-540}
PYTHON=${PYTHON:-python3}
kept=$PWD/out/gpu
built=$kept/site
started=$SECONDS
mkdir -p "$built"
left() { # seconds, 1 at least: 0 would be no limit to `timeout`
  local seconds=$((LIMIT - (SECONDS - started)))
  echo $((seconds > 1 ? seconds : 1))
}
say() { echo "[$((SECONDS - started)) s] $*" >&2; }
give() { # the results, also of a run that was ended
  [ -z "${OUT:-}" ] || { mkdir -p "$OUT" && cp -p "$kept"/*.json "$kept"/*.log "$OUT" 2>/dev/null; } || true
}
trap give EXIT

"$PYTHON" -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "no CUDA GPU: nothing to check")'
architecture=$("$PYTHON" -c 'import torch; print("%d.%d" % torch.cuda.get_device_capability())')
say "$("$PYTHON" -c 'import sys, torch; print(sys.version.split()[0], torch.__version__, torch.cuda.get_device_name())')"

export PYTHONPATH="$built/sources:$built:containers:containers/3dgs:." OMP_WAIT_POLICY=PASSIVE NUMBA_CACHE_DIR="$kept/numba"
if [ ! -e "$built/ready" ]; then
  "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --upgrade --target "$built" .gpu/*.whl
  mkdir -p "$built/sources"
  tar xzf .gpu/gsplat-*.tar.gz --strip-components=1 -C "$built/sources"
  "$PYTHON" -m trainer.warm >"$kept/warm.log" 2>&1 & # the CPU's kernels, beside the GPU's
  warming=$!
  say "compiling gsplat for $architecture"
  if ! (cd "$built/sources" && PATH="$built/bin:$PATH" TORCH_CUDA_ARCH_LIST=$architecture MAX_JOBS=$(nproc) \
    timeout "$(left)" "$PYTHON" setup.py -q build_ext --inplace) >"$kept/build.log" 2>&1; then
    kill "$warming" 2>/dev/null || true
    tail -n 30 "$kept/build.log" >&2
    say "gsplat does not build"
    exit 1
  fi
  wait "$warming" || { tail -n 30 "$kept/warm.log" >&2; say "the CPU's kernels do not compile"; exit 1; }
  touch "$built/ready"
fi
say "built"
"$PYTHON" -c 'import sys, torch; from trainer.accelerator import fault_of_kernels as fault; sys.exit(fault(torch.device("cuda")))'
say "draws"
# the check ends by itself before; a GPU that hangs does not
timeout --kill-after=5 "$(left)" "$PYTHON" -m benchmarks.gpu .gpu/scenes/* --seconds $(($(left) - 10)) --out "$kept" |
  tee "$kept/last-line.json"
say "done"
