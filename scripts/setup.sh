#!/usr/bin/env bash
# Sets up what `make` needs, from nothing but Python 3.11: scripts/setup.sh run|test|audit. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "-- $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

environment() { # folder, requirements: a virtual environment that holds exactly this list
  local python
  python=$(command -v python3.11) || { say "Python 3.11 is needed: apt-get install python3.11 python3-venv"; exit 1; }
  if [ ! -x "$1/bin/pip" ] && ! "$python" -m venv "$1"; then
    say "installing Debian's python3-venv"
    as_root apt-get update -qq
    as_root apt-get install -y -qq python3-venv >/dev/null
    "$python" -m venv "$1"
  fi
  say "installing $2 into $1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$2"
}

node_project() { # folder: its locked npm packages, with the Node.js that came with .venv
  (PATH="$PWD/.venv/bin:$PATH" && cd "$1" && npm ci --ignore-scripts --silent --no-audit --no-fund)
}

run() {
  environment .venv requirements.txt
  say "compiling the CPU kernels; building the viewer and the page"
  PYTHONPATH=containers:containers/3dgs .venv/bin/python -m trainer.warm &
  local kernels=$! folder
  for folder in containers/compressor/viewer web; do
    node_project "$folder"
    (PATH="$PWD/.venv/bin:$PATH" && cd "$folder" && npm run --silent build >/dev/null)
  done
  wait "$kernels"
}

tests() {
  environment .venv-build statemachine/requirements.txt
  environment .venv-sam tests/sam/requirements.txt
  node_project tests/peers
  if ! command -v chromium >/dev/null; then
    say "installing Debian's chromium for the browser tests"
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null
  fi
}

mkdir -p .build
case ${1:-} in
  run) run ;;
  test) tests ;;
  audit) environment .venv-audit tests/audit/requirements.txt ;;
  *) say "usage: scripts/setup.sh run|test|audit"; exit 2 ;;
esac
touch ".build/$1.stamp"
