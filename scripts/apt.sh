#!/usr/bin/env bash
# Install Debian packages whose command is missing: scripts/apt.sh PACKAGE:COMMAND...
# Does nothing, and asks for no password, when every command is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wanted=()
for pair in "$@"; do
    has_command "${pair#*:}" || wanted+=("${pair%%:*}")
done
[ "${#wanted[@]}" -eq 0 ] || apt_install "${wanted[@]}"
