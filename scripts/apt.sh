#!/usr/bin/env bash
# Install Debian packages whose command is missing: scripts/apt.sh PACKAGE:COMMAND...
# Does nothing, and asks for no password, when every command is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wanted=()
for pair in "$@"; do
    has_command "${pair#*:}" || wanted+=("${pair%%:*}")
done
[ "${#wanted[@]}" -eq 0 ] && exit 0

command -v apt-get >/dev/null 2>&1 ||
    die "missing: ${wanted[*]} (Debian names); this system has no apt-get, so install them with its own package manager"
say "installing ${wanted[*]} with apt-get"
as_root apt-get -qq update || die "apt-get update failed: is there a network?"
as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${wanted[@]}" >/dev/null ||
    die "apt-get could not install ${wanted[*]}: the lines above say why"
