"""XMP: tags as digiKam, Lightroom and darktable read them, as a packet, in a JPEG or beside a file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from .xml_text import as_xml

PREFIX = b"http://ns.adobe.com/xap/1.0/\0"  # of the APP1 segment that holds XMP
SOI, APP0, APP1 = b"\xff\xd8", 0xE0, 0xE1
MOST_BYTES = 65_533 - len(PREFIX)  # of a packet in one segment
PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/">
{body}  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def packet(paths: Sequence[tuple[str, ...]], *, taken: str = "") -> bytes:
    """A packet with these tags, each a path from the widest to the finest, e.g. ("Animalia", "Felidae").

    taken: ISO 8601, of the capture, "" when unknown.
    """
    flat = list(dict.fromkeys(path[-1] for path in paths))
    body = _list("dc:subject", "Bag", flat)
    body += _list("lr:hierarchicalSubject", "Bag", ["|".join(path) for path in paths])
    body += _list("digiKam:TagsList", "Seq", ["/".join(path) for path in paths])
    if taken:
        body += f"   <exif:DateTimeOriginal>{as_xml(taken)}</exif:DateTimeOriginal>\n"
    return PACKET.format(body=body).encode("utf-8")


def _list(name: str, kind: str, items: Iterable[str]) -> str:
    rows = "".join(f"     <rdf:li>{as_xml(each)}</rdf:li>\n" for each in items)
    return f"   <{name}>\n    <rdf:{kind}>\n{rows}    </rdf:{kind}>\n   </{name}>\n" if rows else ""


def copy_with_packet(source: Path, target: Path, xmp: bytes) -> bool:
    """Copy a JPEG with a packet in it, everything else byte for byte; False, and no copy, when it can't be put in.

    It can't be when the file is no JPEG, when it holds XMP already, which might say more, and when it does not fit.
    """
    with source.open("rb") as file:
        place = _place(file)
        if place is None or len(xmp) > MOST_BYTES:
            return False
        file.seek(0)
        with target.open("wb") as copy:
            copy.write(file.read(place))
            segment = PREFIX + xmp
            copy.write(b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment)
            while piece := file.read(1 << 20):
                copy.write(piece)
    return True


def _place(file: BinaryIO) -> int | None:
    """Where a packet goes: behind the JFIF and EXIF segments; None when the file has XMP or is no JPEG."""
    if file.read(2) != SOI:
        return None
    place = 2
    while True:
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return None
        if head[1] not in (APP0, APP1):
            return place
        size = int.from_bytes(head[2:], "big")
        if size < 2 or file.read(size - 2).startswith(PREFIX):
            return None
        place += 2 + size
