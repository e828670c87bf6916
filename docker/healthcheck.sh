#!/bin/sh
# Healthy: the worker has its socket, which it makes when it starts and takes away when it ends. Starts no process and needs no secret.
for folder in "${RUNTIME_DIR:-/run/comfy-runpod}" "${TMPDIR:-/tmp}/comfy-runpod-run"; do
  [ ! -S "$folder/inspect.sock" ] || exit 0
done
exit 1
