"""Text in XML, whatever a file's or a station's name holds."""

from xml.sax.saxutils import escape


def as_xml(text: str) -> str:
    """As XML takes it: what is no printable character, or no Unicode, becomes "?"."""
    plain = text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)
    return escape(plain.encode("utf-8", "replace").decode("utf-8"), {'"': "&quot;"})
