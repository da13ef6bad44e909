#!/usr/bin/env bash
# Builds, checks and pushes the stages' images: scripts/deployment/deploy.sh STAGE_NAME|all
#
# The tag of an image is the commit from which it is built, and a tag that exists in ECR is not pushed again, so the
# script can be repeated at any time. Its last line is the ImageTag for `sam deploy`.
#
#   STAGE          the stack's Stage parameter: its repositories are spaceport-$STAGE/…   (dev)
#   ACCELERATOR    cpu or cuda, for 3dgs                                                   (cuda)
#   BASE_DIGEST    sha256:… of the base image; without it, the registry's current one, which is printed
#   REGISTRY       host of the registry; without it, this account's ECR in AWS_REGION
set -euo pipefail
cd "$(dirname "$0")/../.."

STAGE=${STAGE:-dev}
ACCELERATOR=${ACCELERATOR:-cuda}
BASE=python:3.11-slim-bookworm

say() { echo "-- $*" >&2; }
fail() { say "$*"; exit 1; }

name=${1:-}
if [ "$name" = all ]; then
  dockerfiles=(containers/*/Dockerfile)
elif [ -n "$name" ] && [ -f "containers/$name/Dockerfile" ]; then
  dockerfiles=("containers/$name/Dockerfile")
else
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi

command -v docker >/dev/null || fail "docker is needed"
[ -z "$(git status --porcelain -- containers contract)" ] || fail "containers/ or contract/ has changes that no commit names: commit them first"
# the commit that last changed the images' content: a change elsewhere does not build new images
tag=$(git log -1 --format=%h --abbrev=12 -- containers contract)

if [ -z "${REGISTRY:-}" ]; then
  : "${AWS_REGION:=$(aws configure get region)}"
  REGISTRY=$(aws sts get-caller-identity --query Account --output text).dkr.ecr.$AWS_REGION.amazonaws.com
  aws ecr get-login-password --region "$AWS_REGION" | docker login --username AWS --password-stdin "$REGISTRY" >/dev/null
fi

base_digest() { # what the base image's name stands for in its registry
  docker pull --quiet --platform linux/amd64 "$BASE" >/dev/null
  docker image inspect --format '{{index .RepoDigests 0}}' "$BASE" | sed 's/.*@//'
}

pushed() { docker manifest inspect "$1" >/dev/null 2>&1; }

# SageMaker accepts only single images in Docker's own format; a provenance attestation would turn them into an OCI index
IMAGE_FORMAT=application/vnd.docker.distribution.manifest.v2+json

check_format() { # reference: what the registry holds is one image in that format
  local format
  format=$(docker manifest inspect "$1" | tr -d ' \t\n' | sed -n 's/^{"schemaVersion":2,"mediaType":"\([^"]*\)".*/\1/p')
  [ "$format" = "$IMAGE_FORMAT" ] || fail "$1 was pushed as ${format:-something else}, not as $IMAGE_FORMAT"
}

check() { # reference, name: the entry point answers; no known critical hole where a scanner is at hand
  [ "$(docker run --rm "$1" --version | cut -d' ' -f1,2)" = "spaceport $2" ] || fail "$1 does not start"
  if command -v trivy >/dev/null; then
    trivy image --quiet --severity CRITICAL --ignore-unfixed --exit-code 1 "$1"
  else
    say "no trivy here: ECR scans $2 when it is pushed"
  fi
}

for dockerfile in "${dockerfiles[@]}"; do
  name=$(basename "$(dirname "$dockerfile")")
  reference=$REGISTRY/spaceport-$STAGE/$name:$tag
  if pushed "$reference"; then
    check_format "$reference"
    say "$reference is there already"
    continue
  fi
  : "${BASE_DIGEST:=$(base_digest)}"
  say "building $reference on $BASE@$BASE_DIGEST"
  docker buildx build --platform linux/amd64 --provenance=false --sbom=false --output type=docker --file "$dockerfile" --tag "$reference" \
    --build-arg BASE_DIGEST="$BASE_DIGEST" --build-arg ACCELERATOR="$ACCELERATOR" \
    --label org.opencontainers.image.revision="$(git rev-parse HEAD)" \
    --label org.opencontainers.image.base.digest="$BASE_DIGEST" .
  check "$reference" "$name"
  docker push "$reference"
  check_format "$reference"
done
echo "$tag"
