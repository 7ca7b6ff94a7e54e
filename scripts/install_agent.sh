#!/usr/bin/env bash
# Make this 64-bit Raspberry Pi OS (or Debian 12 or newer) a camera trap, in one command, as root, from a checkout:
#
#   sudo scripts/install_agent.sh --token TOKEN      the Pi makes its own key (tigrillo station add NAME on the server)
#   sudo scripts/install_agent.sh --bundle FILE      a bundle of the server's (tigrillo station bundle NAME --out FILE)
#   sudo scripts/install_agent.sh                    neither yet; enrol later
#
# Packages, user, virtual environment with the system's picamera2, unit, state folder, agent.yaml. Running it again
# brings the program up to date and leaves agent.yaml, key and pictures as they are.
#
#   --lang es          comments of the starter agent.yaml in Spanish
#   --no-apt           install no Debian packages
#   --no-systemd       start nothing and ask systemd nothing (an image, a container)
#   --no-watchdog      leave the Pi's own watchdog alone
#   --root DIR         install into the system below DIR, by chroot; implies --no-systemd
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

given=("$@")
token="" bundle="" lang=en apt=yes systemd=yes watchdog=yes root=""
while [ $# -gt 0 ]; do
    case "$1" in
    --token) token="${2:?--token needs the token}" && shift ;;
    --bundle) bundle="${2:?--bundle needs a file}" && shift ;;
    --lang) lang="${2:?--lang needs en or es}" && shift ;;
    --root) root="${2:?--root needs a folder}" && shift ;;
    --no-apt) apt=no ;;
    --no-systemd) systemd=no ;;
    --no-watchdog) watchdog=no ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    *) die "unknown option $1; --help lists them" ;;
    esac
    shift
done

[ "$(id -u)" -eq 0 ] || die "root is needed: sudo $0 ${given[*]}"
[ -z "$token" ] || [ -z "$bundle" ] || die "--token and --bundle: give one of the two"
[ -z "$bundle" ] || [ -f "$bundle" ] || die "$bundle: no such file"

if [ -n "$root" ]; then
    [ -x "$root/usr/bin/apt-get" ] || die "$root: holds no Debian system (debootstrap bookworm $root)"
    inside="$(mktemp -d "$root/tmp/tigrillo.XXXXXX")"
    trap 'rm -rf "$inside"' EXIT
    tar -c --exclude='./.[!.]*' --exclude='__pycache__' . | tar -x -C "$inside"
    again=()
    for word in "${given[@]}"; do
        case "$word" in --root | "$root") ;; "$bundle") cp "$bundle" "$inside/.bundle" && again+=("${inside#"$root"}/.bundle") ;; *) again+=("$word") ;; esac
    done
    chroot "$root" "${inside#"$root"}/scripts/install_agent.sh" "${again[@]}" --no-systemd
    exit
fi

case "$(uname -m)" in aarch64 | x86_64) ;; *) die "$(uname -m): a 64-bit system is needed (Raspberry Pi OS 64-bit)" ;; esac

state=/var/lib/tigrillo-agent
config=/etc/tigrillo/agent.yaml
python=/usr/local/lib/tigrillo/bin/python

if [ "$apt" = yes ]; then
    # Only Raspberry Pi OS has picamera2; on plain Debian the agent does without the camera on the ribbon cable.
    wanted=(python3 python3-venv python3-gpiozero python3-smbus2 python3-av python3-pil ffmpeg)
    missing=()
    for package in "${wanted[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    for package in python3-picamera2 python3-lgpio; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' && continue
        [ -n "$(apt-cache madison "$package" 2>/dev/null)" ] && missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
fi

say "program and unit"
ROLE=agent SITE_LANG="$lang" scripts/install.sh >/dev/null

say "user and state folder"
if has_command systemd-sysusers; then
    systemd-sysusers /usr/local/lib/sysusers.d/tigrillo.conf
else
    for group in tigrillo video gpio i2c; do getent group "$group" >/dev/null || groupadd --system "$group"; done
    getent passwd tigrillo >/dev/null ||
        useradd --system --gid tigrillo --home-dir /var/lib/tigrillo --no-create-home --shell /usr/sbin/nologin tigrillo
fi
install -d -o tigrillo -g tigrillo -m 0750 "$state"

say "configuration"
if [ -n "$bundle" ]; then
    umask 077
    unpacked="$(mktemp -d)"
    trap 'rm -rf "$unpacked"' EXIT
    tar -x -f "$bundle" -C "$unpacked" --no-same-owner --no-same-permissions
    found="$(find "$unpacked" -name agent.yaml -print -quit)"
    [ -n "$found" ] || die "$bundle: holds no agent.yaml: is it a bundle of tigrillo station bundle?"
    [ ! -e "$config.before-bundle" ] && [ -e "$config" ] && cp -p "$config" "$config.before-bundle"
    # The key goes where the service may write, for it is renewed; folders of its own go there, too.
    if [ -d "$(dirname "$found")/identity" ]; then
        rm -rf "$state/identity"
        mv "$(dirname "$found")/identity" "$state/identity"
    fi
    sed -E -e "s#([\"' ])identity/#\1$state/identity/#g" \
        -e "s#^( *(- )?(state_dir|folder|path): )([a-z]+)( |\$)#\1$state/\4\5#" "$found" >"$config"
    umask 022
fi
if [ -n "$token" ]; then
    "$python" -m raspberry_pi.enroll "$token" --config "$config" --folder "$state/identity"
fi
# The service reads its configuration and key, and nobody else does; the key is renewed in the state folder.
chown -R root:tigrillo /etc/tigrillo && chmod -R u=rwX,g=rX,o= /etc/tigrillo
[ ! -d "$state/identity" ] || chown -R tigrillo:tigrillo "$state/identity"

if [ "$watchdog" = yes ]; then
    # 15 s is the longest the Pi's own watchdog can wait.
    install -d /etc/systemd/system.conf.d
    printf '[Manager]\nRuntimeWatchdogSec=15s\nRebootWatchdogSec=2min\n' >/etc/systemd/system.conf.d/tigrillo-watchdog.conf
fi
if has_command raspi-config && grep -Eq '^[^#]*use: (ina219|ina226|pijuice|ups_hat_e)' "$config"; then
    raspi-config nonint do_i2c 0
fi

enabled="enable it"
if [ "$systemd" = yes ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable tigrillo-agent
    enabled="start it"
    if systemctl is-active --quiet tigrillo-agent; then systemctl restart tigrillo-agent; fi
fi

example="$(echo /usr/local/lib/tigrillo/lib/python3*/site-packages/edge/_configs/"$lang"/agent-pi.yaml)"
echo "Installed. Next:"
echo "  edit $config (sudoedit); one for a Pi to copy from: $example"
[ -n "$token$bundle" ] ||
    echo "  enrol: sudo $python -m raspberry_pi.enroll TOKEN --config $config --folder $state/identity"
echo "  $enabled: sudo systemctl enable --now tigrillo-agent"
