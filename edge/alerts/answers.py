"""What people answer: ACK, MUTE 2h, FOTO, STOP, START, AYUDA; in English and Spanish, with or without a code.

Only who the site knows is listened to; anybody else is kept in the records and gets no answer, so that nobody can find
out by writing to it what a number is good for.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from sqlalchemy import Connection

from ..clock import Clock
from ..i18n import mark, translate
from ..model import Event
from ..notices import Reply
from ..services import Emit
from ..store import encounters, notices, replies
from ..store.encounters import CODE_LENGTH, CODE_LETTERS, Encounter
from ..store.notices import NewNotice
from ..store.rows import detection_from_json
from ..store.sql import Store
from .encounters import akin, lineage_of, quality
from .people import Addressee, Directory

Word = Literal["ack", "mute", "photo", "stop", "start", "help"]

WORDS: Mapping[str, Word] = MappingProxyType(
    {
        **dict.fromkeys(("ack", "ok", "recibido", "visto", "enterado"), "ack"),
        **dict.fromkeys(("mute", "silencio", "callar", "silenciar"), "mute"),
        **dict.fromkeys(("foto", "photo", "picture", "imagen"), "photo"),
        **dict.fromkeys(("stop", "alto", "parar", "baja", "unsubscribe"), "stop"),
        **dict.fromkeys(("start", "iniciar", "alta", "reanudar"), "start"),
        **dict.fromkeys(("help", "ayuda", "info"), "help"),
    }
)
UNITS = MappingProxyType(
    {"m": 1, "min": 1, "h": 60, "hora": 60, "horas": 60, "hour": 60, "hours": 60, "d": 1440, "dia": 1440, "dias": 1440}
    | {"day": 1440, "days": 1440}
)
SAID: Mapping[Word, str] = MappingProxyType(
    {
        "help": mark(
            "ACK: I see to it. MUTE 2h: silence for so long. FOTO: send the picture. STOP: no more messages; START: "
            "again. A code after it, as in ACK 7F2K, says which sighting is meant."
        ),
        "stop": mark("No more messages for you. START begins again."),
        "start": mark("You get messages again."),
        "mute": mark("Silence until {time}; what happens until then comes in the digest. START ends it."),
    }
)
LENGTH = re.compile(r"(\d{1,4})\s*([a-z]+)")
CODE = re.compile(rf"[{CODE_LETTERS}]{{{CODE_LENGTH}}}")
TOGETHER = re.compile(  # as thumbs write it: ACK7F2K
    rf"({'|'.join(name for name, word in WORDS.items() if word in ('ack', 'photo'))})({CODE.pattern})", re.IGNORECASE
)
MUTED_MIN = 120  # of a MUTE that does not say
LONGEST_MUTE = timedelta(days=30)
KEPT_TEXT = 500  # characters of an answer that are kept


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer means. code: of an encounter, "" when none is named. length: of a MUTE."""

    word: Word
    code: str = ""
    length: timedelta = timedelta(minutes=MUTED_MIN)


def read_answer(text: str) -> Asked | None:
    """What somebody wants; None when it is nothing we know. The first word decides, case and accents don't count."""
    plain = unicodedata.normalize("NFD", text[:KEPT_TEXT].casefold())
    words = re.findall(r"[a-z0-9]+", "".join(each for each in plain if not unicodedata.combining(each)))
    if words and (together := TOGETHER.fullmatch(words[0])):
        words[:1] = together.groups()
    if not words or words[0] not in WORDS:
        return None
    rest = " ".join(words[1:])
    code = next((each.upper() for each in words[1:] if CODE.fullmatch(each.upper())), "")
    found = LENGTH.search(rest)
    length = timedelta(minutes=MUTED_MIN)
    if found and found[2] in UNITS:
        length = min(timedelta(minutes=int(found[1]) * UNITS[found[2]]), LONGEST_MUTE)
    if WORDS[words[0]] == "mute":
        code = ""  # "MUTE 222H" is a time; in "ACK 222H" it is a code
    return Asked(WORDS[words[0]], code, length or timedelta(minutes=MUTED_MIN))


def _storable(text: str) -> str:
    """Its first 500 characters; half a surrogate pair, which no UTF-8 can hold, becomes a "?"."""
    return text[:KEPT_TEXT].encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Answers:
    """Does what people ask for. Callable from any thread."""

    store: Store
    directory: Directory
    clock: Clock
    emit: Emit

    def hear(self, channel: str, reply: Reply) -> str:
        """Do it, once, and return what to say, "" for nothing. channel: its name in the site. Raises StoreBusy."""
        now = self.clock.now()
        reply = replace(reply, sender=_storable(reply.sender), text=_storable(reply.text), id=_storable(reply.id))
        with self.store.transaction() as connection:
            known = replies.answer_of(connection, channel, reply.id)
            if known is not None:
                return known
            who = self.directory.at(channel, reply.sender)
            asked = read_answer(reply.text)
            answer = self._do(connection, who, asked, reply, now) if who else ""
            replies.keep_reply(
                connection,
                channel=channel,
                id=reply.id,
                sender=reply.sender,
                who=who.who if who else "",
                text=reply.text,
                answer=answer,
                now=now,
            )
        fields = {"channel": channel, "who": who.who if who else "", "asked": asked.word if asked else ""}
        self.emit(Event("people.answered", now, ok=who is not None, fields=fields))
        return answer

    def _do(self, connection: Connection, who: Addressee, asked: Asked | None, reply: Reply, now: datetime) -> str:
        """Do it and say so in the addressee's language."""
        word = asked.word if asked else "help"
        if asked is None or word in {"help", "stop", "start", "mute"}:
            return self._set(connection, who, asked or Asked("help"), now)
        meant = self._meant(connection, who, asked, reply)
        if meant is None:
            return translate("No sighting has this code, or you were told of none.", who.language)
        if word == "photo":
            return self._photo(connection, who, meant, reply, now)
        if encounters.acknowledge(connection, meant.pk, by=who.who, now=now):
            text, by, at = mark("Thank you: {code} at {station} is yours, nobody else is called."), "", ""
        else:
            text, by = mark("{who} has seen to {code} already, at {time}."), meant.acked_by
            at = f"{who.local(meant.acked_at):%H:%M}" if meant.acked_at else ""
        return translate(text, who.language).format(code=meant.code, station=meant.station, who=by, time=at)

    def _set(self, connection: Connection, who: Addressee, asked: Asked, now: datetime) -> str:
        """STOP, START, MUTE; anything else gets the list of words."""
        until = now + asked.length
        if asked.word == "stop":
            notices.mute(connection, who.who, until=None, now=now)
        elif asked.word == "start":
            notices.unmute(connection, who.who)
        elif asked.word == "mute":
            notices.mute(connection, who.who, until=until, now=now)
        return translate(SAID[asked.word], who.language).format(time=f"{who.local(until):%Y-%m-%d %H:%M}")

    def _meant(self, connection: Connection, who: Addressee, asked: Asked, reply: Reply) -> Encounter | None:
        """By its code, else the one whose message was answered, else the last that was told."""
        if asked.code:
            return encounters.by_code(connection, asked.code)
        if reply.about and (found := encounters.by_uid(connection, reply.about.partition("/")[0])):
            return found
        return notices.last_told(connection, who.who)

    def _photo(self, connection: Connection, who: Addressee, meant: Encounter, reply: Reply, now: datetime) -> str:
        """Queue the best picture of an encounter; it comes as a message of its own."""
        seen = [
            detection_from_json(each)
            for each in encounters.detections_in(connection, meant.best_frame_pk, meant.best_number)
        ]
        kin = [each for each in seen if each.category == meant.category and akin(lineage_of(each), meant.lineage)]
        told = [row for row in notices.of_encounter(connection, meant.pk) if row.rule]
        # people are shown to somebody by the rules that tell this one, not by those that tell others
        own = [row for row in told if row.who == who.who]
        if not kin or not told:
            return translate("There is no picture of it.", who.language)
        photo = NewNotice(
            key=f"{meant.uid}/{who.key}/photo-{reply.id}"[:400],
            kind="answer",
            addressee=who.name,
            who=who.who,
            channel=who.channel,
            severity=told[-1].severity,
            station=meant.station,
            rule=(own or told)[-1].rule,
            shows_people=bool(own) and own[-1].shows_people,
            encounter_pk=meant.pk,
            frame_pk=meant.best_frame_pk,
            number=meant.best_number,
            detection=max(kin, key=quality),
        )
        notices.add(connection, photo, now)
        return translate("The picture is on its way.", who.language)
