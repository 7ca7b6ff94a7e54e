#!/usr/bin/env bash
# Remove exactly what scripts/install.sh installed. Sites, frames, models, and the user stay.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

prefix="${PREFIX:-/usr/local}"
destdir="${DESTDIR:-}"

[ -n "$destdir" ] || [ "$(id -u)" -eq 0 ] || die "root is needed to remove from $prefix: sudo make uninstall"

units="$destdir$prefix/lib/systemd/system"
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    for unit in tigrillo tigrillo-agent; do
        [ ! -e "$units/$unit.service" ] || systemctl disable --now "$unit.service"
    done
fi

rm -rf "$destdir$prefix/lib/tigrillo"
rm -f "$destdir$prefix/bin/tigrillo" "$units/tigrillo.service" "$units/tigrillo-agent.service" \
    "$units/tigrillo-failed@.service" \
    "$destdir$prefix/lib/sysusers.d/tigrillo.conf" "$destdir$prefix/lib/tmpfiles.d/tigrillo.conf" \
    "$destdir/etc/systemd/system.conf.d/tigrillo-watchdog.conf"
if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi

say "removed; /etc/tigrillo, /var/lib/tigrillo and the user tigrillo are still there"
