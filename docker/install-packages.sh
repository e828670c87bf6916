#!/bin/sh
# Installs packages of the base's distribution (Debian or Ubuntu) and leaves nothing behind but them: no lists, caches, manuals, logs.
set -eu
export DEBIAN_FRONTEND=noninteractive
for folder in doc man info locale lintian; do echo "path-exclude /usr/share/$folder/*"; done >/etc/dpkg/dpkg.cfg.d/comfy-runpod
echo 'path-include /usr/share/doc/*/copyright' >>/etc/dpkg/dpkg.cfg.d/comfy-runpod
apt-get update -qq
# Debian 13: an SSH server wants systemd, or the one small part of it that makes its user.
if apt-cache depends openssh-server | grep -q systemd-standalone-sysusers; then set -- "$@" systemd-standalone-sysusers; fi
apt-get install -y -qq --no-install-recommends "$@"
# sshd makes its host keys at its first start: keys in an image would be everybody's.
rm -f /etc/ssh/ssh_host_*
# Tables for a key exchange that is not needed beside the curve ones, and texts for questions that nobody is asked.
rm -f /etc/ssh/moduli /var/cache/debconf/templates.dat
# The container is reached with ssh, it does not reach out with it.
rm -f /usr/bin/ssh /usr/bin/slogin /usr/bin/ssh-add /usr/bin/ssh-agent /usr/bin/ssh-argv0 /usr/bin/ssh-copy-id /usr/bin/ssh-keyscan \
  /usr/bin/sftp /usr/bin/tini-static /usr/lib/openssh/ssh-keysign /usr/lib/openssh/ssh-pkcs11-helper /usr/lib/openssh/ssh-sk-helper
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/cache/ldconfig /var/log/apt /var/log/*.log
