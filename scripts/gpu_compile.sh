#!/usr/bin/env bash
# Compiles gsplat's kernels for CUDA_ARCHITECTURES (7.5: a T4) like the GPU image, in .build/gpu-compile, without a GPU.
# The lists, the compiler and its recipe are those of the image (containers/3dgs). Downloads some 3 GB of packages, once.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
export CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES:-7.5}
lists=containers/3dgs
environment=$PWD/.build/gpu-compile
install() { "$PYTHON" -m pip --python "$environment/bin/python" install --quiet --no-cache-dir --no-deps --require-hashes "$@"; }

if [ ! -e "$environment/ready" ]; then
  "$PYTHON" -m venv --clear --without-pip "$environment"
  install --requirement "$lists/requirements.txt"
  install --requirement "$lists/torch-cuda.txt"
  touch "$environment/ready"
fi
times=$(mktemp)
trap 'rm -f "$times"' EXIT
"$PYTHON" -m pip --python "$environment/bin/python" uninstall --quiet --yes gsplat
TIMEFORMAT='%R %U %S'
{ time PATH="$(dirname "$PYTHON"):$PATH" "$lists/compile-gsplat.sh" "$environment" "$lists" >&3 2>&3; } 3>&2 2>"$times"
"$environment/bin/python" - "$CUDA_ARCHITECTURES" $(cat "$times") <<'END'
import json, sys
from pathlib import Path

import gsplat.csrc as kernels

architectures, wall, user, system = sys.argv[1:]
library = Path(kernels.__file__)
doors = [name for name in dir(kernels) if not name.startswith("_")]
figures = {"architectures": architectures, "wall_s": float(wall), "cpu_s": round(float(user) + float(system), 1)}
print(json.dumps({**figures, "bytes": library.stat().st_size, "functions": len(doors), "library": str(library)}))
END
