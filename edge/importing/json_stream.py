"""Reading a JSON object too large for memory: its long list element by element, everything else at once."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

CHUNK = 1 << 20  # characters
LONGEST_WORD = 16  # "-Infinity", an escape: what may be cut off at the end of what was read, with room
_BLANK = " \t\r\n"


class JsonStream:
    """The members of the object in a text file, in one pass. Raises ValueError, with the character, on what is none."""

    def __init__(self, file: TextIO) -> None:
        """file: at its begin."""
        self._file = file
        self._text = ""
        self._at = self._before = 0
        self._decoder = json.JSONDecoder()

    def members(self, streamed: str) -> Iterator[tuple[str, Any]]:
        """(name, value) of each member; of the member `streamed`, a list, (name, element) for each element."""
        self._take("{")
        while self._peek() != "}":
            name = self._value()
            if not isinstance(name, str):
                raise self._fault("a name in quotes is missing")
            self._take(":")
            if name == streamed and self._peek() == "[":
                self._take("[")
                while self._peek() != "]":
                    yield name, self._value()
                    self._comma("]")
                self._take("]")
            else:
                yield name, self._value()
            self._comma("}")
        self._take("}")
        if self._peek():
            raise self._fault("there is something behind the end")

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as exc:
                cut_off = exc.msg.startswith("Unterminated") or exc.pos > len(self._text) - LONGEST_WORD
                if cut_off and self._fill():
                    continue
                self._at = exc.pos
                raise self._fault(exc.msg) from exc
            except RecursionError as exc:
                raise self._fault("lists in lists in lists") from exc
            # a number at the end of what was read may go on behind it
            if end == len(self._text) and self._fill():
                continue
            self._at = end
            return value

    def _comma(self, end: str) -> None:
        if self._peek() == ",":
            self._at += 1
            if self._peek() == end:
                raise self._fault("something is missing behind a comma")
        elif self._peek() != end:
            raise self._fault(f"a comma or {end!r} is missing")

    def _take(self, wanted: str) -> None:
        if self._peek() != wanted:
            raise self._fault(f"{wanted!r} is missing")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no blank; "" at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        """Read on; False at the end of the file. Twice as much when a single value is long, so that it stays linear."""
        read = self._file.read(max(CHUNK, len(self._text) - self._at))
        if read:
            self._before += self._at
            self._text = self._text[self._at :] + read
            self._at = 0
        return bool(read)

    def _fault(self, reason: str) -> ValueError:
        return ValueError(f"character {self._before + self._at}: {reason}")
