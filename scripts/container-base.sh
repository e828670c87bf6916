#!/bin/sh
# Makes the two base images of the Dockerfile without any image registry, for machines that reach Debian's packages only:
#   comfy-runpod-base:bookworm       a minimal Debian, in place of the CUDA base image
#   comfy-runpod-node:<version>      the same with Node and npm, in place of the official Node image
# Prints the build arguments that name them. What is there already is not made again; the Debian is kept as an archive in the cache folder too.
set -eu
cd "$(dirname "$0")/.."
say() { printf 'container-base: %s\n' "$1" >&2; }
fail() { say "$1"; exit 1; }

suite=bookworm
node_version=$(node -p "require('./node_modules/node/package.json').version")
base=comfy-runpod-base:$suite
node_image=comfy-runpod-node:$node_version
cache=${XDG_CACHE_HOME:-$HOME/.cache}/comfy-runpod
archive=$cache/$suite.tar

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_archive() {
  [ "$(id -u)" = 0 ] || fail "debootstrap needs root. Run this as root once, or give the Dockerfile a BASE_IMAGE and a NODE_IMAGE that you have"
  command -v debootstrap >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; }
  say "making a minimal Debian $suite (about a minute)"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$work/root" >"$work/log" 2>&1 || { tail -5 "$work/log" >&2; fail "debootstrap failed"; }
  # The certificates that this machine trusts: where a proxy stands between it and the package registries, the build passes it as well.
  if [ -s /etc/ssl/certs/ca-certificates.crt ]; then cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/ca-certificates.crt"; fi
  rm -rf "$work/root/var/cache/apt/archives" "$work/root/var/lib/apt/lists" "$work/root/usr/share/doc" "$work/root/usr/share/locale"
  mkdir -p "$cache"
  tar -C "$work/root" -cf "$archive.new" .
  mv "$archive.new" "$archive"
}

if ! docker image inspect "$base" >/dev/null 2>&1; then
  [ -s "$archive" ] || make_archive
  docker import "$archive" "$base" >/dev/null
fi

if ! docker image inspect "$node_image" >/dev/null 2>&1; then
  say "adding Node $node_version and npm"
  mkdir "$work/context"
  cp node_modules/node/bin/node "$work/context/node"
  cp -r "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$work/context/npm"
  cat >"$work/context/Dockerfile" <<DOCKERFILE
FROM $base
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
DOCKERFILE
  docker build --quiet --tag "$node_image" "$work/context" >/dev/null
fi

printf -- '--build-arg BASE_IMAGE=%s --build-arg NODE_IMAGE=%s\n' "$base" "$node_image"
