"""Texts that others make (the system, PyYAML, pydantic, typer) in the reader's language.

So are those that our own record keeps in English: why a file is in quarantine, what is damaged.

Such a text arrives in English with its values filled in. `foreign` finds the template it was made from and fills the
Spanish one; a text that no template fits stays as it is. Nothing here changes what English readers see.
"""

import re
from collections.abc import Iterator
from functools import cache
from string import Formatter

from .i18n import _, mark, user_language

INNER = "message"  # the value of this name is itself a text that others made

# The first that fits is taken: the narrower one of two stands first.
TEMPLATES = (
    # typer and pydantic around another text
    mark("Invalid value for {name}: {message}"),
    mark("Invalid value: {message}"),
    mark("Value error, {message}"),
    mark("{message} Did you mean {other}?"),
    mark("{message} (Possible options: {others})"),
    # the system's errors: os.strerror and what Python writes around it
    mark("[Errno {number}] {message}: {path}"),
    mark("[Errno {number}] {message}"),
    mark("{path}: cannot open shared object file: {message}"),
    mark("No such file or directory"),
    mark("Permission denied"),
    mark("Is a directory"),
    mark("Not a directory"),
    mark("File exists"),
    mark("No space left on device"),
    mark("Read-only file system"),
    mark("Input/output error"),
    mark("Connection refused"),
    mark("Connection reset by peer"),
    mark("Connection timed out"),
    mark("timed out"),
    mark("No route to host"),
    mark("Network is unreachable"),
    mark("Name or service not known"),
    mark("Temporary failure in name resolution"),
    mark("No address associated with hostname"),
    # PyYAML
    mark("mapping values are not allowed here"),
    mark("could not find expected ':'"),
    mark("found character {character} that cannot start any token"),
    mark("found unexpected end of stream"),
    mark("expected <block end>, but found {token}"),
    mark("expected the node content, but found '<stream end>'"),
    mark("expected the node content, but found {token}"),
    mark("expected {one} or {other}, but got '<stream end>'"),
    mark("expected {one} or {other}, but got {token}"),
    mark("expected {wanted}, but found {token}"),
    mark("expected {wanted}, but got {token}"),
    mark("did not find expected {token}"),
    mark("found undefined alias {alias}"),
    mark("found unknown escape character {character}"),
    # edge.wire, whose texts are logged in English
    mark("{name}: letters, digits, '_', '-' and '.' only, at most 64, no dot in front"),
    # pydantic: a site's values, and the values of options
    mark("Input should be greater than or equal to {limit}"),
    mark("Input should be greater than {limit}"),
    mark("Input should be less than or equal to {limit}"),
    mark("Input should be less than {limit}"),
    mark("Input should be a valid string"),
    mark("Input should be a valid integer"),
    mark("Input should be a valid integer, unable to parse string as an integer"),
    mark("Input should be a valid integer, got a number with a fractional part"),
    mark("Input should be a valid number"),
    mark("Input should be a valid number, unable to parse string as a number"),
    mark("Input should be a finite number"),
    mark("Input should be a valid boolean"),
    mark("Input should be a valid boolean, unable to interpret input"),
    mark("Input should be a valid list"),
    mark("Input should be a valid tuple"),
    mark("Input should be a valid dictionary"),
    mark("Input should be a valid dictionary or instance of {kind}"),
    mark("Input is not a valid path for {kind}"),
    mark("could not parse value and unit from byte string"),
    mark("could not interpret byte unit: {unit}"),
    mark("Field required"),
    mark("Extra inputs are not permitted"),
    mark("String should have at least {count} character"),
    mark("String should have at least {count} characters"),
    mark("String should have at most {count} character"),
    mark("String should have at most {count} characters"),
    mark("String should match pattern {pattern}"),
    mark("{kind} should have at least {least} item after validation, not {count}"),
    mark("{kind} should have at least {least} items after validation, not {count}"),
    mark("Input should be {choices}"),
    # typer
    mark("Missing argument {name}."),
    mark("Missing option {name}."),
    mark("Missing command."),
    mark("No such command {name}."),
    mark("No such option: {name}"),
    mark("Got unexpected extra argument(s) ({values})"),
    mark("Option {name} requires an argument."),
    mark("Option {name} requires {count} arguments."),
    mark("Option {name} does not take a value."),
    mark("Show this message and exit."),
    mark("{value} is not one of {choices}."),
    mark("{kind} {path} does not exist."),
    # edge.media: why a file is in quarantine, kept in English; what stands last is what to do about it
    mark("{name}: empty file (0 bytes): {message}"),
    mark("{name}: not a JPEG, PNG, TIFF or WEBP picture (begins with {head}): {message}"),
    mark("{name}: {kind} whose header can't be read, damaged or truncated: {message}"),
    mark("{name}: {kind} that can't be decoded ({why}): {message}"),
    mark("{name}: damaged, nothing of the picture can be read: {message}"),
    mark("{name}: {width}x{height} pixels, allowed are {most}: {message}"),
    mark("{name}: larger than {most} bytes: {message}"),
    mark("{name}: JPEG of {count} scans, allowed are {most}: {message}"),
    mark("{name}: has no video, only other streams: {message}"),
    mark("{name}: no picture in it can be decoded: {message}"),
    mark("{name}: MP4 that was cut before its index was written: {message}"),
    mark("{name}: no clip that can be opened (begins with {head}): {message}"),
    mark("{name}: can't be read: {why}: {message}"),
    mark("copy it again from the card, or delete it"),
    mark("copy it again from the card"),
    mark("raise max_pixels, or delete it"),
    mark("check the file and its disk"),
    mark("delete it, or look at it by hand"),
    mark("repair it with untrunc, or delete it"),
    mark("delete it"),
    mark("truncated: the {kind} ends early, the lower {share} is missing"),
    mark("truncated: the {kind} ends early"),
    mark("corrupt data: {why}, the lower {share} is missing"),
    mark("corrupt data: {why}"),
    # edge.pipeline
    mark("given up after {count} attempts that met an error nobody foresaw: {message}"),
    mark("given up after {count} attempts that ended without an answer"),
    mark("{name}: station {station} is no name that may become a folder"),
    mark("{name}: frame id {frame} is no name that may become a file"),
    mark("{name}: frame id {frame} of station {station} is taken by other content"),
    mark("frame id {frame} of station {station} is taken by other content"),
    mark("can't be read: {message}"),
    mark("station {station} is unknown or revoked"),
)


def foreign(text: object) -> str:
    """`text`, or an error's own text, in the reader's language; unchanged in English and where no template fits."""
    plain = str(text)
    if user_language() == "en":
        return plain
    for template, pattern in _patterns():
        if found := pattern.fullmatch(plain):
            values = {name: foreign(value) if name == INNER else value for name, value in found.groupdict().items()}
            return _(template).format(**values)
    return plain


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((template, re.compile("".join(_pieces(template)), re.DOTALL)) for template in TEMPLATES)


def _pieces(template: str) -> Iterator[str]:
    for literal, name, _spec, _conversion in Formatter().parse(template):
        yield re.escape(literal)
        if name:
            yield f"(?P<{name}>.+?)"
