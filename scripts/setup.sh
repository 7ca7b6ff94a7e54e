#!/usr/bin/env bash
# Make .venv hold Tigrillo and one extra: scripts/setup.sh demo|dev
# A stamp keyed by pyproject.toml and the interpreter makes the second call return at once, without a network.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

extra="${1:?which extra: demo or dev}"
python="${PYTHON:-python3}"
venv=.venv

stamp_of() { printf '%s/.tigrillo-%s-%s' "$venv" "$1" "$({ cat pyproject.toml; pwd; } | sha256sum | cut -c1-16)"; }

# dev holds all of demo, so either stamp serves the demo.
for have in "$extra" dev; do
    if [ -e "$(stamp_of "$have")" ] && "$venv/bin/python" -c '' 2>/dev/null; then exit 0; fi
done

has_command "$python" || scripts/apt.sh python3:python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "Python 3.11 or newer is needed, $python is $("$python" -V); set PYTHON=/path/to/python3"

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    # Debian splits venv off; ensurepip is the part that is missing then.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || {
        say "installing python3-venv with apt-get"
        as_root apt-get -qq update || die "apt-get update failed: is there a network?"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install python3-venv >/dev/null
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            die "$python has no venv module: install python3-venv for it, or set PYTHON=/usr/bin/python3"
    }
    say "creating $venv with $("$python" -V)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

say "installing tigrillo[$extra] into $venv (a few minutes the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extra]" ||
    die "pip could not install tigrillo[$extra]: the lines above say why (no network? full disk?)"
rm -f "$venv"/.tigrillo-"$extra"-*
touch "$(stamp_of "$extra")"
