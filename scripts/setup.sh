#!/usr/bin/env bash
# Make .venv hold Tigrillo and one extra: scripts/setup.sh demo|dev
# A stamp keyed by pyproject.toml and the folder makes the second call return at once, without a network.
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

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    check_python "$python"
    say "creating $venv with $("$python" -V)"
    rm -rf "$venv"
    make_venv "$python" "$venv"
fi

say "installing tigrillo[$extra] into $venv (a few minutes the first time)"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable ".[$extra]" ||
    die "pip could not install tigrillo[$extra]: the lines above say why (no network? full disk?)"
rm -f "$venv"/.tigrillo-"$extra"-*
touch "$(stamp_of "$extra")"
