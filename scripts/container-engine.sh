#!/bin/sh
# A Docker Engine for the container tests, on a machine where none answers. Debian and root only; elsewhere it says what is missing.
#   scripts/container-engine.sh start   installs what is missing from Debian's packages and starts the engine; prints the pid that it started
#   scripts/container-engine.sh stop PID   stops the engine of that pid, and nothing else
set -eu
say() { printf 'container-engine: %s\n' "$1" >&2; }

answers() { docker version >/dev/null 2>&1; }

# Package sources are read anew once, and only when something is missing.
packages() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { say "missing: $*. Install it, or run this as root on Debian"; return 1; }
  export DEBIAN_FRONTEND=noninteractive
  [ -n "${updated:-}" ] || { apt-get update -qq && updated=yes; }
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Compose: Debian bookworm has none for the engine's command line, the release after it has. Only its one program is taken, as a plugin of this user.
install_compose() {
  for name in docker-compose-v2 docker-compose; do
    case "$(apt-cache policy "$name" 2>/dev/null | sed -n 's/^  Candidate: //p')" in 2.*) packages "$name" && return ;; esac
  done
  work=$(mktemp -d)
  mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -1)
  echo "deb ${mirror:?no Debian mirror in the package sources} trixie main" >"$work/sources"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  chmod 755 "$work"
  options="-qq -o Dir::Etc::SourceList=$work/sources -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$work/lists -o Dir::Cache=$work/cache -o APT::Sandbox::User=root"
  # shellcheck disable=SC2086 # one word per option is meant
  apt-get $options update && (cd "$work" && apt-get $options download docker-compose)
  dpkg-deb --extract "$work"/docker-compose_*.deb "$work/files"
  mkdir -p "$HOME/.docker/cli-plugins"
  cp "$(find "$work/files" -path '*/cli-plugins/docker-compose' -type f)" "$HOME/.docker/cli-plugins/docker-compose"
  rm -rf "$work"
}

start() {
  command -v docker >/dev/null || packages docker.io iptables ca-certificates
  docker compose version >/dev/null 2>&1 || install_compose
  answers && return
  command -v dockerd >/dev/null || packages docker.io iptables
  log=$(mktemp)
  # A group of its own, so that it outlives the shell that asked for it.
  setsid dockerd >"$log" 2>&1 </dev/null &
  pid=$!
  for _ in $(seq 120); do
    if answers; then rm -f "$log"; echo "$pid"; return; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.5
  done
  say "the Docker Engine does not start; its last lines:"
  tail -5 "$log" >&2
  kill "$pid" 2>/dev/null || true
  return 1
}

case "${1:-}" in
  start) start ;;
  stop) kill "${2:?the pid that start printed}"; while kill -0 "$2" 2>/dev/null; do sleep 0.2; done ;;
  *) say "start, or stop PID"; exit 2 ;;
esac
