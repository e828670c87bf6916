#!/bin/sh
# Installs ComfyUI for the image: /opt/python (a Python of its own), /opt/venv (its packages), /opt/ComfyUI (its source and the custom-node packs).
# Everything is pinned by the build arguments of the Dockerfile. A pack that fails to import fails the build.
set -eu
export DEBIAN_FRONTEND=noninteractive
say() { printf '== %s\n' "$1"; }

say 'tools of this stage; the runtime stage has none of them'
apt-get update -qq
# Compilers are for packs whose requirements have no wheel: they end with this stage.
# shellcheck disable=SC2086 # one word per package is meant
apt-get install -y -qq --no-install-recommends build-essential ca-certificates git python3 python3-venv ${APT_PACKAGES:-} >/dev/null
python3 -m venv /tmp/uv
/tmp/uv/bin/pip install --quiet --no-cache-dir "uv==$UV_VERSION"
export UV_PYTHON_PREFERENCE=only-managed UV_NO_CACHE=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_INSTALL_DIR=/opt/python VIRTUAL_ENV=/opt/venv
uv() { /tmp/uv/bin/uv "$@"; }

say "Python $PYTHON_VERSION"
uv python install "$PYTHON_VERSION"
# pip is there for packs whose install.py calls it.
uv venv --seed --exclude-newer "$PYTHON_PACKAGES_UNTIL" --python "$PYTHON_VERSION" --clear /opt/venv

# Fetches one commit or tag of a repository ($1) at $2 into folder $3, without its history.
checkout() {
  git init --quiet "$3"
  git -C "$3" fetch --quiet --depth 1 "$1" "$2"
  git -C "$3" checkout --quiet --detach FETCH_HEAD
  git -C "$3" submodule --quiet update --init --recursive --depth 1
  say "$1 at $(git -C "$3" rev-parse HEAD)"
  rm -rf "$3/.git"
}

# A commit, or a version, whose tag has a `v` before it.
is_commit() { [ "${#1}" = 40 ] && case "$1" in *[!0-9a-f]*) false ;; esac; }
if is_commit "$COMFYUI_VERSION"; then ref=$COMFYUI_VERSION; else ref=v$COMFYUI_VERSION; fi
checkout "$COMFYUI_REPOSITORY" "$ref" /opt/ComfyUI

say "PyTorch $TORCH_VERSION from $TORCH_INDEX"
printf 'torch==%s\ntorchvision==%s\ntorchaudio==%s\n' "$TORCH_VERSION" "$TORCHVISION_VERSION" "$TORCHAUDIO_VERSION" >/tmp/constraints.txt
uv pip install --index-url "$TORCH_INDEX" -r /tmp/constraints.txt
# What ComfyUI leaves open is resolved as of a date; PyTorch is installed already and held by the constraints.
requirements() { uv pip install --exclude-newer "$PYTHON_PACKAGES_UNTIL" --constraint /tmp/constraints.txt -r "$1"; }
requirements /opt/ComfyUI/requirements.txt

for pack in $CUSTOM_NODES; do
  address=${pack%@*}
  commit=${pack##*@}
  is_commit "$commit" || { echo "CUSTOM_NODES: $address needs a commit of 40 hexadecimal digits after @" >&2; exit 1; }
  name=$(basename "$address" .git)
  checkout "$address" "$commit" "/opt/ComfyUI/custom_nodes/$name"
  [ ! -f "/opt/ComfyUI/custom_nodes/$name/requirements.txt" ] || requirements "/opt/ComfyUI/custom_nodes/$name/requirements.txt"
  [ ! -f "/opt/ComfyUI/custom_nodes/$name/install.py" ] || (cd "/opt/ComfyUI/custom_nodes/$name" && /opt/venv/bin/python install.py)
done

say 'starting once, without a GPU'
sh /tmp/check-start.sh

say 'leaving nothing behind but what runs'
rm -rf /opt/ComfyUI/output/* /opt/ComfyUI/tests* /opt/ComfyUI/.github /tmp/uv /tmp/*.txt /root/.cache
/opt/venv/bin/python -m compileall -q -j 0 /opt/ComfyUI || true
/opt/venv/bin/python -c 'import torch, torchvision, torchaudio; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
