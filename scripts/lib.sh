# Shared by the set-up scripts; sourced, never run. Everything prints one clear line and stops at the first fault.

say() { printf '==> %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Run a command as root: as it is when we are root, through sudo when there is one.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        die "root is needed for: $* (log in as root, or install sudo)"
    fi
}

# Debian keeps daemons in sbin, which is not on an ordinary user's PATH.
has_command() { PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

# Make a virtual environment: make_venv PYTHON FOLDER. Debian ships venv without ensurepip until python3-venv is there.
make_venv() {
    if ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3-venv
        "$1" -c 'import ensurepip, venv' 2>/dev/null || die "$1 has no venv module: set PYTHON=/usr/bin/python3"
    fi
    "$1" -m venv "$2"
}

check_python() {
    has_command "$1" || die "$1 is not there: install python3 (3.11 or newer) or set PYTHON=/path/to/python3"
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "Python 3.11 or newer is needed, $1 is $("$1" -V): set PYTHON=/path/to/python3"
}

apt_install() {
    command -v apt-get >/dev/null 2>&1 ||
        die "missing: $* (Debian names); there is no apt-get here, so install them with the system's own package manager"
    say "installing $* with apt-get"
    as_root apt-get -qq update || die "apt-get update failed: is there a network?"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" >/dev/null ||
        die "apt-get could not install $*: the lines above say why"
}
