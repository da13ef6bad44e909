#!/usr/bin/env bash
# Writes every requirements.txt from its requirements.in. The machine's whole list is resolved first; each world's own
# list is then held to the same versions, so that what is tested together is what is built apart.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # input, further options
  local input=$1
  shift
  .venv/bin/python -m piptools compile --quiet --strip-extras --no-header --no-annotate --no-emit-index-url \
    --no-emit-find-links --no-emit-trusted-host --allow-unsafe --output-file "${input%.in}.txt" "$@" "$input"
}

compile requirements.in
for world in containers/sfm containers/3dgs containers/compressor local sample tests; do
  compile "$world/requirements.in" --constraint requirements.txt
done

# Lambda's runtime brings boto3 and what it needs; bundles are installed without dependencies
compile functions/requirements.in --constraint requirements.txt
sed -i -E '/^(boto3|botocore|s3transfer|python-dateutil|six|urllib3)==/d' functions/requirements.txt

# an environment of its own: nothing of the SageMaker SDK agrees with the rest
compile statemachine/requirements.in
