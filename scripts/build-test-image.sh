#!/bin/sh
# Builds the image that the container tests drive: the real runtime stage, with the sandbox's ComfyUI in place of the real one. Prints its name.
# Base images: BASE_IMAGE and NODE_IMAGE where set, else the official ones where a registry can be reached, else ones made here.
set -eu
cd "$(dirname "$0")/.."
image=${1:-comfy-runpod:test}

pinned() { sed -n "s/^$1=//p" docker/versions.env; }

if [ -n "${BASE_IMAGE:-}" ] && [ -n "${NODE_IMAGE:-}" ]; then
  arguments="--build-arg BASE_IMAGE=$BASE_IMAGE --build-arg NODE_IMAGE=$NODE_IMAGE"
elif docker pull --quiet "$(pinned NODE_IMAGE)" >/dev/null 2>&1; then
  # Not the Node image itself: like a CUDA base, the base has no npm.
  arguments="--build-arg BASE_IMAGE=$(pinned TEST_BASE_IMAGE) --build-arg NODE_IMAGE=$(pinned NODE_IMAGE)"
else
  arguments=$(sh scripts/container-base.sh)
fi

before=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || true)
log=$(mktemp)
# shellcheck disable=SC2086 # one word per argument is meant
if ! DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-1} docker build $arguments --build-arg COMFYUI_STAGE=stand-in --tag "$image" . >"$log" 2>&1; then
  tail -60 "$log" >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"
# The image of the last run goes, unless it is still the same or a container has it.
if [ -n "$before" ] && [ "$before" != "$(docker image inspect --format '{{.Id}}' "$image")" ]; then docker rmi "$before" >/dev/null 2>&1 || true; fi
echo "$image"
