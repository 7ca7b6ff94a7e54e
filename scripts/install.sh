#!/usr/bin/env bash
# Install Tigrillo as a service: its own virtual environment, one command, units, user, and a site to edit.
# PREFIX (default /usr/local) and DESTDIR as usual; PYTHON is the interpreter that the service will run on.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

prefix="${PREFIX:-/usr/local}"
destdir="${DESTDIR:-}"
python="${PYTHON:-/usr/bin/python3}" # not one below /root or /home: the service can't see those folders
home="$prefix/lib/tigrillo"
target="$destdir$home"

[ -n "$destdir" ] || [ "$(id -u)" -eq 0 ] || die "root is needed to write to $prefix: sudo make install, or give DESTDIR"
has_command "$python" || die "$python is not there: set PYTHON=/path/to/python3"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

say "building the wheel"
.venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work" .

say "installing into $target"
rm -rf "$target"
mkdir -p "$(dirname "$target")"
# Without pip inside: what runs as a service should not be able to install.
"$python" -m venv --without-pip "$target"
.venv/bin/python -m pip --python "$target/bin/python" install --quiet --disable-pip-version-check --no-compile \
    --no-warn-script-location "$work"/tigrillo-*.whl
# A virtual environment finds itself by its place; only the first line of its scripts knows the staging folder.
if [ -n "$destdir" ]; then
    grep -IlZ "^#!$target/bin/" "$target"/bin/* | xargs -0r sed -i "1s|^#!$target/bin/|#!$home/bin/|"
fi
rm -f "$target"/bin/[Aa]ctivate*
# The service may not write here, so the bytecode is made now.
"$target/bin/python" -m compileall -q -s "$destdir" "$target/lib" >/dev/null || true # because some packages ship templates that do not compile

say "command, units, user"
install -d "$destdir$prefix/bin"
ln -sfn "$home/bin/tigrillo" "$destdir$prefix/bin/tigrillo"
for unit in systemd/*.service; do
    install -d "$destdir$prefix/lib/systemd/system"
    sed "s|/usr/local/|$prefix/|" "$unit" >"$work/unit"
    install -m 644 "$work/unit" "$destdir$prefix/lib/systemd/system/$(basename "$unit")"
done
install -D -m 644 systemd/tigrillo.sysusers "$destdir$prefix/lib/sysusers.d/tigrillo.conf"
install -D -m 644 systemd/tigrillo.tmpfiles "$destdir$prefix/lib/tmpfiles.d/tigrillo.conf"

# A site belongs to its people: what is there stays.
install -d "$destdir/etc/tigrillo"
for name in site agent; do
    [ -e "$destdir/etc/tigrillo/$name.yaml" ] ||
        install -m 644 "configs/system-$name.yaml" "$destdir/etc/tigrillo/$name.yaml"
done

if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemd-sysusers "$prefix/lib/sysusers.d/tigrillo.conf"
    systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/tigrillo.conf"
    systemctl daemon-reload
fi

cat <<DONE
Installed. Next:
  sudo -u tigrillo env TIGRILLO_MODELS=/var/lib/tigrillo/models $prefix/bin/tigrillo models pull --default
  edit /etc/tigrillo/site.yaml, then: $prefix/bin/tigrillo check /etc/tigrillo/site.yaml
  sudo systemctl enable --now tigrillo          (on the Pi: tigrillo-agent)
DONE
