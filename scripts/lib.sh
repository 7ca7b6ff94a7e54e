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
