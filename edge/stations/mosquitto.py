"""What a private mosquitto is told: TLS, who may do what, and the bounds. Pure text."""

import os
from pathlib import Path

from .. import wire
from .authority import SERVER
from .folders import Folders

# A frame or chunk of wire.CHUNK_BYTES with its topic and headers; more is no message of ours.
PACKET_BYTES = 1_200_000

CONFIG = """\
# Written by tigrillo at each start; changes belong into the site's YAML.

# Nobody without a certificate of our authority. Its common name is who they are, for the access list, and their client
# id as well: a station has one session, and can't end another's by taking its id. TLS 1.2 and 1.3 are the default.
listener {port}{listen}
cafile {ca}
certfile {certificate}
keyfile {key}
crlfile {crl}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {acl}
{user}
# Bounds. What is over them the broker drops, and an agent sends again what nobody acknowledged (docs/protocol.md).
max_packet_size {packet}
max_inflight_messages 20
max_inflight_bytes 0
max_queued_messages 500
max_queued_bytes 50000000
max_connections 1000
max_keepalive 3600
persistent_client_expiration 1d
set_tcp_nodelay true
sys_interval 0

# Nothing on disk: a frame is safe in its station's spool until the server has it. Persistence would wear the disk and
# promise what it does not keep: after kill -9 even a broker with it lost messages that it had acknowledged.
persistence false

log_dest stderr
log_type error
log_type warning
log_type notice
{messages}connection_messages {connections}
"""

ACL = """\
# Written by tigrillo. A new station needs no change here: %u is the name in its certificate.
user {server}
topic read {up}
topic write {down}

pattern write {prefix}/%u/up/#
pattern read {prefix}/%u/down/#
"""


def config_text(
    folders: Folders, *, port: int, listen: str, log_connections: bool = True, log_messages: bool = False
) -> str:
    """The text of mosquitto.conf. listen: the address, "" for all. log_messages: print each message, see overheard.py.

    Raises ValueError for a folder it can't name.
    """
    if any("\n" in str(path) or str(path) != str(path).strip() for path in (folders.folder,)):
        raise ValueError(str(folders.folder))
    return CONFIG.format(
        port=port,
        listen=f" {listen}" if listen else "",
        ca=_whole(folders.ca),
        certificate=_whole(folders.broker_certificate),
        key=_whole(folders.broker_key),
        crl=_whole(folders.crl),
        acl=_whole(folders.broker_acl),
        # Started by root it would become `mosquitto`, who may not read these files; the service is never root.
        user="user root" if os.geteuid() == 0 else "",
        packet=PACKET_BYTES,
        messages="log_type debug\n" if log_messages else "",
        connections="true" if log_connections else "false",
    )


def acl_text() -> str:
    """The text of the access list."""
    return ACL.format(server=SERVER, up=wire.ALL_UP, down=f"{wire.PREFIX}/+/down/#", prefix=wire.PREFIX)


def _whole(path: Path) -> str:
    return str(path.absolute())
