#!/usr/bin/env bash
# Install Debian packages whose command or file is missing: scripts/apt.sh PACKAGE:COMMAND... PACKAGE:/PATH...
# Does nothing, and asks for no password, when all of them are there. A path may hold * (in quotes).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

is_there() { case "$1" in /*) compgen -G "$1" >/dev/null ;; *) has_command "$1" ;; esac; }

wanted=()
for pair in "$@"; do
    is_there "${pair#*:}" || wanted+=("${pair%%:*}")
done
[ "${#wanted[@]}" -eq 0 ] || apt_install "${wanted[@]}"
