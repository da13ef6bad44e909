#!/usr/bin/env bash
# Sets up everything that `make` needs; requires only Python: scripts/setup.sh run|develop|test|sam|audit|docs. Safe to
# run again. `run sample` also renders the sample's photos in the meantime, for `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "-- $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

quietly() { # command: shows what it printed only if it fails
  local printed
  printed=$("$@" 2>&1) || { echo "$printed" >&2; return 1; }
}

in_background() { # command: in a process group of its own, which ends with this script; $! is its process
  set -m # without it, background jobs ignore Ctrl-C
  "$@" &
  set +m
}

end_background() {
  local group
  for group in $(jobs -p); do kill -- "-$group" 2>/dev/null || true; done
}
trap end_background EXIT

find_python() { # the first Python for which every pinned package has been built
  local name
  for name in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    if [ -n "$name" ] && "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  say "Python 3.11, 3.12 or 3.13 is needed. Debian and Ubuntu: apt-get install python3 python3-venv."
  say "Anywhere else: curl -LsSf https://astral.sh/uv/install.sh | sh; uv python install 3.13;"
  say "then PYTHON=\$(uv python find 3.13) make demo. Or open the folder in its devcontainer (.devcontainer/)."
  exit 1
}

environment() { # folder, pip's arguments: a virtual environment that holds these packages
  local python folder=$1
  shift
  python=$(find_python)
  if [ ! -x "$folder/bin/pip" ] && ! "$python" -m venv "$folder"; then
    say "installing Debian's python3-venv"
    as_root apt-get update -qq
    as_root apt-get install -y -qq python3-venv >/dev/null
    "$python" -m venv "$folder"
  fi
  say "installing ${*: -1} into $folder"
  # compiling all modules to bytecode takes as long as unpacking them, and most are never imported
  "$folder/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "$@"
}

node_project() { # folder: its locked npm packages, with the Node.js that came with .venv
  (PATH="$PWD/.venv/bin:$PATH" && cd "$1" && npm ci --ignore-scripts --silent --no-audit --no-fund)
}

warm_trainer() { # the part whose kernels are compiled
  PYTHONPATH=containers:containers/3dgs .venv/bin/python -m trainer.warm "$1"
}

build_pages() {
  local folder
  for folder in containers/compressor/viewer web; do
    node_project "$folder"
    (PATH="$PWD/.venv/bin:$PATH" && cd "$folder" && npm run --silent build >/dev/null)
  done
}

run() { # [sample]
  local started=$SECONDS rendering=
  say "setting up, once: about 2 GB of disk and 700 MB of downloads; two to five minutes where packages come fast"
  if ! pip_has_cpu_torch; then
    say "pip takes PyTorch's CUDA build, almost 4 GB more of disk. A machine without an NVIDIA GPU does not need it:"
    say "  PIP_EXTRA_INDEX_URL=<the index that pytorch.org/get-started names for CPU> make demo"
  fi
  # pip keeps one core busy. Beside it the other one compiles kernels, once it has what they need, and renders the
  # sample's photos, which can wait: if that fails, the demo makes them, and says why.
  environment .venv --constraint requirements.txt --requirement sample/requirements.in --requirement containers/3dgs/requirements.in
  say "compiling the CPU kernels; building the viewer and the page"
  in_background warm_trainer splats
  local splats=$! pages stereo
  if [ "${1:-}" = sample ]; then
    in_background nice .venv/bin/python -m local.sample_photos >/dev/null 2>&1
    rendering=$!
  fi
  environment .venv --constraint requirements.txt --requirement requirements-run.in
  in_background build_pages
  pages=$!
  wait "$splats" # both stages share these: side by side, each warm-up would compile them itself
  in_background warm_trainer stereo
  stereo=$!
  wait "$pages"
  PYTHONPATH=containers:containers/compressor quietly .venv/bin/python -m compressor.warm # it packs the viewer, too
  wait "$stereo"
  if [ -n "$rendering" ]; then wait "$rendering" || say "the sample's photos are not made yet"; fi
  say "set up in $((SECONDS - started)) s; .venv takes $(du -sh .venv | cut -f1)"
}

pip_has_cpu_torch() { # whether PyTorch is there, or pip is pointed at an index besides the default one
  compgen -G ".venv/lib/python3*/site-packages/torch" >/dev/null || [ -n "${PIP_EXTRA_INDEX_URL:-}${PIP_INDEX_URL:-}" ] ||
    pip config list 2>/dev/null | grep -q index-url
}

develop() {
  environment .venv --requirement requirements.txt
}

sam() {
  environment .venv-build --requirement statemachine/requirements.txt
  environment .venv-sam --requirement tests/sam/requirements.txt
}

tests() {
  node_project tests/peers
  if ! command -v chromium >/dev/null; then
    say "installing Debian's chromium for the browser tests"
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null
  fi
}

mkdir -p .build
case ${1:-} in
  run) run "${2:-}" ;;
  develop) develop ;;
  test) tests ;;
  sam) sam ;;
  audit) environment .venv-audit --requirement tests/audit/requirements.txt ;;
  docs) environment .venv-docs --require-hashes --requirement docs/requirements.txt ;;
  *) say "usage: scripts/setup.sh run|develop|test|sam|audit|docs"; exit 2 ;;
esac
touch ".build/$1.stamp"
