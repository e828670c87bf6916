#!/bin/sh
# PID 1 is tini, which reaps; everything else is the worker's own business. Another command given to `docker run` is run instead.
set -eu
if [ $# -gt 0 ]; then exec "$@"; fi
export NODE_COMPILE_CACHE=/opt/comfy-runpod/compile-cache
exec node /opt/comfy-runpod/bin/comfy-runpod.js worker
