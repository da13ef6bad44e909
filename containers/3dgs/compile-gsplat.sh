#!/bin/sh
# Compiles gsplat for CUDA_ARCHITECTURES and installs it into /opt/venv; the toolkit is gone from it afterwards.
set -eu
pip() { python3 -m pip --python /opt/venv/bin/python "$@"; }

apt-get update
apt-get install --yes --no-install-recommends g++ python3-dev
pip install --no-cache-dir --requirement /tmp/cuda-toolkit.in
nvidia=$(/opt/venv/bin/python -c 'import nvidia; print(nvidia.__path__[0])')
if [ -z "${CUDA_HOME:-}" ]; then # no toolkit in the base image
  CUDA_HOME=$nvidia/cu13
  ln -s lib "$CUDA_HOME/lib64"
  for library in "$CUDA_HOME"/lib/lib*.so.*; do # wheels carry no names for the linker
    [ -e "${library%%.so.*}.so" ] || ln -s "$(basename "$library")" "${library%%.so.*}.so"
  done
fi
export CUDA_HOME PATH="/opt/venv/bin:$CUDA_HOME/bin:$PATH" TORCH_CUDA_ARCH_LIST="$CUDA_ARCHITECTURES"
MAX_JOBS=$(nproc) # gsplat's own default is ten compilers at once, whatever the machine
export MAX_JOBS
# its list holds all that gsplat needs besides requirements.txt, torch and, to compile, ninja
pip install --no-cache-dir --no-build-isolation --no-binary gsplat --no-deps --require-hashes \
  --requirement /tmp/requirements-cuda.txt

grep -oE '^[a-z-]+' /tmp/cuda-toolkit.in | xargs python3 -m pip --python /opt/venv/bin/python uninstall --yes
/opt/venv/bin/python -c 'import gsplat.csrc' # compiled, linked, found: nothing is left for the job to build
