#!/bin/sh
# Installs RunPod's official Python SDK into .venv, for the conformance tests that run it unmodified against the
# sandbox. Safe to run again: it does nothing when the right version is already there.
#
#   PYTHON=python3.12 scripts/python-sdk.sh     # choose another interpreter
set -eu

cd "$(dirname "$0")/.."
venv=.venv
python=${PYTHON:-python3}
wanted='runpod>=1.12,<2'

has_sdk() {
  [ -x "$venv/bin/python" ] && "$venv/bin/python" - <<'PY' 2>/dev/null
import sys
from importlib.metadata import version
major, minor = (int(part) for part in version("runpod").split(".")[:2])
sys.exit(0 if major == 1 and minor >= 12 else 1)
PY
}

fail() {
  printf 'python-sdk: %s\n' "$1" >&2
  exit 1
}

if has_sdk; then
  echo "python-sdk: $venv already has $("$venv/bin/python" -c 'from importlib.metadata import version; print("runpod", version("runpod"))')"
  exit 0
fi

command -v "$python" >/dev/null 2>&1 ||
  fail "no $python on this machine. On Debian: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else 1)' ||
  fail "$("$python" --version) is too old: the SDK needs Python 3.10 or newer. Set PYTHON to a newer one"

if [ ! -x "$venv/bin/pip" ]; then
  # A half-made environment (Debian without python3-venv leaves one) is replaced, not repaired.
  rm -rf "$venv"
  if ! "$python" -m venv "$venv" 2>/dev/null; then
    rm -rf "$venv"
    if "$python" -m virtualenv --version >/dev/null 2>&1; then
      "$python" -m virtualenv --quiet "$venv"
    elif command -v virtualenv >/dev/null 2>&1; then
      virtualenv --quiet --python "$python" "$venv"
    else
      fail "$python has neither venv nor virtualenv. On Debian: apt-get install python3-venv"
    fi
  fi
fi

"$venv/bin/pip" install --quiet --disable-pip-version-check "$wanted" ||
  fail "pip could not install $wanted: check the network or the package index configured for pip"
has_sdk || fail "pip finished, but $wanted cannot be imported from $venv"
echo "python-sdk: installed $("$venv/bin/python" -c 'from importlib.metadata import version; print("runpod", version("runpod"))') into $venv"
