#!/usr/bin/env bash
# Install Tigrillo as a service: its own virtual environment, one command, units, user, and a site to edit.
# PREFIX (default /usr/local) and DESTDIR as usual. PYTHON: what the service runs on. ROLE: server, or agent for a
# Raspberry Pi, which gets the agent alone, with paho-mqtt and PyYAML and what the system's Python has (picamera2).
# SITE_LANG: en or es, the comments in /etc/tigrillo.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

prefix="${PREFIX:-/usr/local}"
destdir="${DESTDIR:-}"
role="${ROLE:-server}"
python="${PYTHON:-/usr/bin/python3}" # not one below /root or /home: the service can't see those folders
home="$prefix/lib/tigrillo"
target="$destdir$home"

[ -n "$destdir" ] || [ "$(id -u)" -eq 0 ] || die "root is needed to write to $prefix: sudo make install, or give DESTDIR"
[ "$role" = server ] || [ "$role" = agent ] || die "ROLE is $role: use server or agent"
check_python "$python"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
make_venv "$python" "$work/builder"
pip() { "$work/builder/bin/python" -m pip -qq --disable-pip-version-check "$@"; }

say "building the wheel"
pip wheel --no-deps --wheel-dir "$work" .
wheel=("$work"/tigrillo-*.whl)

say "installing into $target"
rm -rf "$target"
mkdir -p "$(dirname "$target")"
# Without pip inside: what runs as a service should not be able to install.
if [ "$role" = agent ]; then
    "$python" -m venv --without-pip --system-site-packages "$target"
    # The extra `pi`, and astral: of what the extra `hardware` names, only that is too old in Debian.
    needed="$("$python" -c 'import re, sys, tomllib
extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print("\n".join([*extras["pi"], *(each for each in extras["hardware"] if re.match("astral", each))]))')"
    mapfile -t needed <<<"$needed"
    pip --python "$target/bin/python" install --no-compile --no-warn-script-location "${needed[@]}"
    pip --python "$target/bin/python" install --no-compile --no-deps "${wheel[0]}"
else
    "$python" -m venv --without-pip "$target"
    pip --python "$target/bin/python" install --no-compile --no-warn-script-location "${wheel[0]}"
fi
# A virtual environment finds itself by its place; only the first line of its scripts knows the staging folder.
if [ -n "$destdir" ]; then
    grep -IlZ "^#!$target/bin/" "$target"/bin/* | xargs -0r sed -i "1s|^#!$target/bin/|#!$home/bin/|"
fi
sed -i "s|$target|$home|" "$target/pyvenv.cfg"
rm -f "$target"/bin/[Aa]ctivate*
# The service may not write here, so the bytecode is made now.
"$target/bin/python" -m compileall -q -s "$destdir" "$target/lib" >/dev/null

say "command, units, user"
units="$destdir$prefix/lib/systemd/system"
install -d "$destdir$prefix/bin" "$units" "$destdir/etc/tigrillo"
[ "$role" = agent ] || ln -sfn "$home/bin/tigrillo" "$destdir$prefix/bin/tigrillo"
for unit in systemd/*.service; do
    sed "s|/usr/local/|$prefix/|" "$unit" >"$work/unit"
    install -m 644 "$work/unit" "$units/$(basename "$unit")"
done
install -D -m 644 systemd/tigrillo.sysusers "$destdir$prefix/lib/sysusers.d/tigrillo.conf"
install -D -m 644 systemd/tigrillo.tmpfiles "$destdir$prefix/lib/tmpfiles.d/tigrillo.conf"

# The starter sites of `tigrillo init`, with the service's own folders. A site belongs to its people: what is there stays.
for name in site agent; do
    kept="$destdir/etc/tigrillo/$name.yaml"
    service="$([ "$name" = site ] && echo tigrillo || echo tigrillo-agent)"
    [ -e "$kept" ] || sed -E "s#^( *(- )?(state_dir|folder|path): )([a-z]+)( |\$)#\1/var/lib/$service/\4\5#" \
        "configs/${SITE_LANG:-en}/$name.yaml" >"$kept"
done

if [ -z "$destdir" ] && [ -d /run/systemd/system ]; then
    systemd-sysusers "$prefix/lib/sysusers.d/tigrillo.conf"
    systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/tigrillo.conf"
    systemctl daemon-reload
fi

if [ "$role" = agent ]; then
    cat <<DONE
Installed. Next:
  edit /etc/tigrillo/agent.yaml
  sudo systemctl enable --now tigrillo-agent
DONE
else
    cat <<DONE
Installed. Next:
  sudo -u tigrillo env TIGRILLO_MODELS=/var/lib/tigrillo/models $prefix/bin/tigrillo models pull
  edit /etc/tigrillo/site.yaml, then: $prefix/bin/tigrillo check /etc/tigrillo/site.yaml
  sudo systemctl enable --now tigrillo
DONE
fi
