"""A row of the outbox → the Notice that its channel gets, and the picture that goes with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ..alerts.encounters import akin, lineage_of, quality
from ..alerts.people import Addressee
from ..i18n import translate
from ..links import Signer, frame_path
from ..media.alert_picture import Candidate, alert_picture
from ..model import Detection
from ..notices import Notice, PictureLimits, Wording
from ..privacy.hidden import hidden_on
from ..services import Services
from ..store import encounters
from ..store.notices import NoticeRow
from ..store.rows import detection_from_json
from ..store.sql import Store
from ..wording import word_alert

PICTURES_TRIED = 4  # of an encounter; the best of them is sent


@dataclass(frozen=True, slots=True)
class Composer:
    """Puts messages together. signer: of links to the page, None where the site has none; links last for link_days."""

    store: Store
    services: Services
    signer: Signer | None = None
    link_days: int = 7

    def notice(self, row: NoticeRow, to: Addressee, now: datetime) -> Notice:
        """The message, in the addressee's language. Raises StoreBusy."""
        alert = row.alert()
        encounter = None
        if row.encounter_pk is not None:
            with self.store.transaction() as connection:
                encounter = encounters.by_pk(connection, row.encounter_pk)
        link, code = self._link(row, now), encounter.code if encounter else ""
        if alert is None:
            words = words_from(row.words or {})
        else:
            zone = self.services.timezone_of(row.station)
            extra = {"link": link, "code": code, "place": self._place(row.station)}
            words = word_alert(alert, language=to.language, timezone=zone, now=now, extra=extra)
            if row.kind == "update":
                words = _as_update(words, to.language)
        return Notice(
            key=row.key,
            kind=row.kind,
            channel=row.channel,
            words=words,
            language=to.language,
            severity=row.severity,
            at=row.created_at,
            to=to.address,
            person=to.person,
            thread=encounter.uid if encounter else "",
            station=row.station,
            alert=alert,
            code=code,
            link=link,
            attempt=row.attempts,
        )

    def line(self, row: NoticeRow, to: Addressee) -> tuple[str, str]:
        """A message as one line of a digest: when and where, and what."""
        alert = row.alert()
        if alert is None:
            words = words_from(row.words or {})
            return f"{to.local(row.created_at):%m-%d %H:%M}", words.headline
        words = word_alert(
            alert, language=to.language, timezone=self.services.timezone_of(row.station), now=self.services.clock.now()
        )
        when = f"{words.fields['date']} {words.fields['time']}".strip() or translate("time unknown", to.language)
        what = f"{words.fields['what']}, {words.fields['score']}"
        return f"{when} {words.fields['station']}", f"{alert.count} × {what}" if alert.count > 1 else what

    def picture(self, row: NoticeRow, to: Addressee, limits: PictureLimits) -> bytes:
        """The best picture of what the message is about, as JPEG. Raises FrameError when none can be read any more.

        People in it can't be told apart unless the rule shows people and the addressee may see them.
        """
        blur = not (row.shows_people and to.sees_people)
        found = self._candidates(row, blur=blur)
        return alert_picture(self.services.media, found, language=to.language, limits=limits, blur_people=blur)

    def _candidates(self, row: NoticeRow, *, blur: bool) -> list[Candidate]:
        """The message's own picture first, then others of its encounter.

        blur: none on which somebody has seen people since whom no box shows: there is nothing to blur.
        """
        alert = row.alert()
        if alert is None or row.frame_pk is None:
            return []
        with self.store.transaction() as connection:
            found = [(row.frame_pk, row.number, alert.picture_path, alert.kind)]
            if row.encounter_pk is not None:
                best = encounters.best_pictures(connection, row.encounter_pk, limit=PICTURES_TRIED)
                found += [(each["frame_pk"], each["number"], Path(each["path"]), each["kind"]) for each in best]
            candidates = []
            for frame_pk, number, path, kind in dict.fromkeys(found):
                seen = [detection_from_json(each) for each in encounters.detections_in(connection, frame_pk, number)]
                shown = alert.detection if (frame_pk, number) == found[0][:2] else _of_its_kind(seen, alert.detection)
                hidden = hidden_on(connection, frame_pk)
                if shown is not None and not (blur and hidden.everything):
                    others = *(each for each in seen if each != shown), *hidden.boxes.get(number, ())
                    candidates.append(Candidate(path, kind, number, shown, others))
        return candidates

    def _link(self, row: NoticeRow, now: datetime) -> str:
        if self.signer is None or row.frame_pk is None:
            return ""
        return self.signer.link(frame_path(row.frame_pk), expires_at=now + timedelta(days=self.link_days))

    def _place(self, station: str) -> str:
        known = self.services.stations.get(station)
        if known is None or known.latitude is None or known.longitude is None:
            return ""
        return f"{known.latitude:.5f},{known.longitude:.5f}"


def words_from(kept: dict[str, object]) -> Wording:
    """The words of a message about no animal, as they are kept: {"headline": …, "rows": [[label, value], …]}."""
    rows = kept.get("rows")
    pairs = tuple((str(label), str(value)) for label, value in rows) if isinstance(rows, list) else ()
    return Wording(str(kept.get("headline", "")), pairs)


def _of_its_kind(seen: Sequence[Detection], shown: Detection) -> Detection | None:
    """What of a picture may be the animal of a message, shown best."""
    kin = [each for each in seen if each.category == shown.category and akin(lineage_of(each), lineage_of(shown))]
    # one that has a coarser name would take the message's own name back
    kin = [each for each in kin if len(lineage_of(each)) >= len(lineage_of(shown))]
    return max(kin, key=quality, default=None)


def _as_update(words: Wording, language: str) -> Wording:
    headline = translate("More of it: {headline}", language).format(headline=words.headline)
    return Wording(headline, words.rows, {**words.fields, "headline": headline})
