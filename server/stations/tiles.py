"""The map's tiles: one PMTiles file of the site (`web.tiles`), given out in ranges; never anything from elsewhere.

Both kinds are drawn: pictures (PNG, JPEG, WebP, AVIF) by pmtiles.js, shapes (Mapbox vector tiles in the layers of
Protomaps' base map) by protomaps-leaflet. Without a file the map has positions and a scale; so it has with one that was
copied half, because the browser would ask for each of its tiles in vain.
Format: https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md, header of 127 bytes.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from ..web import Web

MAGIC = b"PMTiles\x03"
HEADER_BYTES = 127
VECTOR, PICTURES = 1, range(2, 6)
PARTS_AT = 8  # offset and length, little-endian uint64, of root directory, metadata, leaf directories and tiles
PACKED_AT, GZIP, UNPACKED = 97, 2, 1  # how directories are packed; pmtiles.js unpacks gzip alone
TYPE_AT, PLACE_AT = 99, 100  # tile type; then least and most zoom (bytes) and four int32 of 1e-7 degrees
MOST_ROOT = 16_384  # bytes: header and root directory together, by the format


@dataclass(frozen=True, slots=True)
class Tiles:
    """A tile file. kind: vector or raster. box: west, south, east, north, degrees. version: changes with the file."""

    path: Path
    kind: str
    least_zoom: int
    most_zoom: int
    box: tuple[float, float, float, float]
    version: str


def tiles_of(web: Web) -> Tiles | None:
    """The site's tile file; None without one."""
    return read_tiles(web.config.tiles) if web.config.tiles else None


def read_tiles(path: Path) -> Tiles | None:
    """A tile file; None when there is none, or none that can be drawn, such as one that was cut short."""
    try:
        with path.open("rb") as file:
            head = file.read(MOST_ROOT)
        stat = path.stat()
    except OSError:
        return None
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC) or not _is_whole(head, stat.st_size):
        return None
    kind = head[TYPE_AT]
    if kind != VECTOR and kind not in PICTURES:
        return None
    least, most, *corners = struct.unpack_from("<BB4i", head, PLACE_AT)
    west, south, east, north = (each / 1e7 for each in corners)
    version = f"{stat.st_mtime_ns:x}-{stat.st_size:x}"
    return Tiles(path, "vector" if kind == VECTOR else "raster", least, most, (west, south, east, north), version)


def _is_whole(head: bytes, size: int) -> bool:
    """Whether all parts that the header names are there, and the root directory can be unpacked."""
    parts = struct.unpack_from("<8Q", head, PARTS_AT)
    offset, length = parts[:2]
    if any(start + long > size for start, long in zip(parts[::2], parts[1::2], strict=True)):
        return False
    root = head[offset : offset + length]
    if not length or len(root) < length:
        return False
    if head[PACKED_AT] == GZIP:
        try:
            zlib.decompress(root, wbits=31)
        except zlib.error:
            return False
    return head[PACKED_AT] in (GZIP, UNPACKED)
