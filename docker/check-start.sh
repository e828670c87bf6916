#!/bin/sh
# Starts ComfyUI once without a GPU and ends it. Fails where it does not start, and where a custom-node pack fails to import or to prepare itself.
# Done where it is installed, and again in the image that is shipped: what a pack finds among the tools of the build may not be there any more.
set -eu
log=$(mktemp)
cd /opt/ComfyUI
PYTHONDONTWRITEBYTECODE=1 /opt/venv/bin/python main.py --cpu --quick-test-for-ci >"$log" 2>&1 || { tail -40 "$log" >&2; exit 1; }
if grep -E 'IMPORT FAILED|PRESTARTUP FAILED' "$log" >&2; then
  echo 'These nodes fail to import. A library that is missing comes with APT_PACKAGES. The log of the start:' >&2
  cat "$log" >&2
  exit 1
fi
rm -rf "$log" user temp
