#!/bin/sh
# Compiles gsplat for CUDA_ARCHITECTURES and installs it: compile-gsplat.sh ENVIRONMENT LISTS. No GPU is needed.
# ENVIRONMENT is a virtual environment with torch for CUDA; LISTS the folder of requirements-cuda.txt and
# cuda-toolkit.txt, whose compiler is gone from the environment afterwards. Wants g++ and Python's headers.
set -eu
environment=$1 lists=$2
builder=$(command -v python3) # before the environment's own, which has no pip, is first in PATH
pip() { "$builder" -m pip --python "$environment/bin/python" "$@"; }

pip install --no-cache-dir --no-deps --require-hashes --requirement "$lists/cuda-toolkit.txt"
if [ -z "${CUDA_HOME:-}" ]; then # no toolkit in the base image
  CUDA_HOME=$("$environment/bin/python" -c 'import nvidia; print(nvidia.__path__[0])')/cu13
  ln -sfn lib "$CUDA_HOME/lib64"
  for library in "$CUDA_HOME"/lib/lib*.so.*; do # wheels carry no names for the linker
    [ -e "${library%%.so.*}.so" ] || ln -s "$(basename "$library")" "${library%%.so.*}.so"
  done
fi
export CUDA_HOME PATH="$environment/bin:$CUDA_HOME/bin:$PATH" TORCH_CUDA_ARCH_LIST="$CUDA_ARCHITECTURES"
MAX_JOBS=$(nproc) # gsplat's own default is ten compilers at once, whatever the machine
export MAX_JOBS
# its list holds all that gsplat needs besides requirements.txt, torch and, to compile, ninja
pip install --no-cache-dir --no-build-isolation --no-binary gsplat --no-deps --require-hashes \
  --requirement "$lists/requirements-cuda.txt"

grep -oE '^[a-z-]+' "$lists/cuda-toolkit.txt" | xargs "$builder" -m pip --python "$environment/bin/python" uninstall --yes
# compiled, linked, and found by gsplat: nothing is left for the job to build
"$environment/bin/python" -c 'from gsplat.cuda._backend import _C; assert _C is not None'
