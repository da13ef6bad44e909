#!/usr/bin/env bash
# Writes every requirements.txt from its requirements.in. The complete list for one machine is resolved first; the lists
# of the separate worlds are then held to the same versions, so that what is built separately was tested together.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # input, further options
  local input=$1
  shift
  .venv/bin/python -m piptools compile --quiet --strip-extras --no-header --no-annotate --no-emit-index-url \
    --no-emit-find-links --no-emit-trusted-host --allow-unsafe --output-file "${input%.in}.txt" "$@" "$input"
  # the suffix of a build for one kind of machine (+cpu) is dropped: the version is the same for all
  sed -i -E 's/^([A-Za-z0-9_.-]+==[0-9.]+)\+[a-z0-9]+/\1/; /^# The following packages/d' "${input%.in}.txt"
}

drop() { # file, names: takes packages and their hashes out of a list
  .venv/bin/python - "$@" <<'END'
import re, sys
from pathlib import Path

path, names = Path(sys.argv[1]), set(sys.argv[2:])
entries = re.split(r"(?m)^(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))
path.write_text("".join(entry for entry in entries if entry.partition("==")[0] not in names), encoding="utf-8")
END
}

compile requirements.in
for world in local sample tests; do
  compile "$world/requirements.in" --constraint requirements.txt
done

# what is shipped is locked to the files themselves
for list in functions/requirements.in containers/*/requirements.in; do
  compile "$list" --constraint requirements.txt --generate-hashes
done
# torch has another file for each kind of machine; the CPU's image takes it by its version
drop containers/3dgs/requirements.txt torch
mapfile -t already < <(grep -oE '^[A-Za-z0-9_.-]+' containers/3dgs/requirements.txt)
# the GPU's takes PyPI's file, whatever wheels pip finds on this machine: one of those has another hash
PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS='' PIP_EXTRA_INDEX_URL='' \
  compile containers/3dgs/torch-cuda.in --generate-hashes --constraint containers/3dgs/requirements.txt
drop containers/3dgs/torch-cuda.txt "${already[@]}"
# … and gsplat, with the compiler's ninja from its own list; its setup.py imports torch before it says what it needs
BUILD_NO_CUDA=1 compile containers/3dgs/requirements-cuda.in --constraint requirements.txt --generate-hashes \
  --no-build-isolation
drop containers/3dgs/requirements-cuda.txt torch ninja "${already[@]}"
# the compiler alone: the libraries that it is made for come with torch
compile containers/3dgs/cuda-toolkit.in --generate-hashes
mapfile -t compiler < <(grep -oE '^[a-z-]+' containers/3dgs/cuda-toolkit.in)
mapfile -t rest < <(grep -oE '^[A-Za-z0-9_.-]+' containers/3dgs/cuda-toolkit.txt | grep -vxFf <(printf '%s\n' "${compiler[@]}"))
drop containers/3dgs/cuda-toolkit.txt "${rest[@]}"
# Lambda's runtime brings boto3 and what it needs; bundles are installed without dependencies
drop functions/requirements.txt boto3 botocore s3transfer python-dateutil six urllib3

# an environment of its own: nothing of the SageMaker SDK agrees with the rest
compile statemachine/requirements.in
# … and the SAM CLI does not agree with the local cloud
compile tests/sam/requirements.in
# … nor does what `make audit` runs
compile tests/audit/requirements.in
# … and the documentation's site needs nothing of the project
compile docs/requirements.in --generate-hashes
