"""The map's tiles: one PMTiles file of the site (`web.tiles`), given out in ranges; never anything from elsewhere.

Both kinds are drawn: pictures (PNG, JPEG, WebP, AVIF) by pmtiles.js, shapes (Mapbox vector tiles in the layers of
Protomaps' base map) by protomaps-leaflet. Without a file the map has positions and a scale.
Format: https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md, header of 127 bytes.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from ..web import Web

MAGIC = b"PMTiles\x03"
HEADER_BYTES = 127
VECTOR, PICTURES = 1, range(2, 6)
TYPE_AT, PLACE_AT = 99, 100  # tile type; then least and most zoom (bytes) and four int32 of 1e-7 degrees


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
    """A tile file; None when there is none, or none that can be drawn."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
        stat = path.stat()
    except OSError:
        return None
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        return None
    kind = header[TYPE_AT]
    if kind != VECTOR and kind not in PICTURES:
        return None
    least, most, *corners = struct.unpack_from("<BB4i", header, PLACE_AT)
    west, south, east, north = (each / 1e7 for each in corners)
    version = f"{stat.st_mtime_ns:x}-{stat.st_size:x}"
    return Tiles(path, "vector" if kind == VECTOR else "raster", least, most, (west, south, east, north), version)
