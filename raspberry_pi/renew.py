"""A station's certificate is renewed before it ends, by the agent itself. The key stays.

The key is kept because certificate and key are two files: with a new one of both, a power cut between the two renames
would leave a pair that does not fit, and a station that is never heard of again.
"""

import json
import logging
from datetime import datetime, timedelta

from edge.paths import write_atomically
from edge.tls import Tls

from .config import Settings
from .identity import EnrollError, Identity, ask, expires_at, read_answer, secured, signing_request

log = logging.getLogger(__name__)
DUE = timedelta(
    days=60
)  # of two years: a trap that is visited twice a year, or hears nothing for weeks, still makes it


def renew_if_due(settings: Settings, now: datetime) -> bool:
    """Renew the station's certificate when it ends within 60 days; whether it was. Blocks up to a minute or so.

    Called once a day. The next connection uses the new one. What goes wrong is logged, and tried again the next day.
    """
    tls = settings.broker.tls
    if tls is None or tls.cert is None or tls.key is None:
        return False
    identity = Identity(tls.cert.parent)
    try:
        until = expires_at(tls.cert.read_bytes())
        if until - now > DUE or not identity.origin.exists():
            return False
        origin = json.loads(identity.origin.read_text())
        context = secured(Tls(tls.ca, tls.cert, tls.key, check_host=False))  # as at enrolment: see enroll.py
        request = {"csr": signing_request(tls.key.read_bytes())}
        answer = read_answer(ask(str(origin["host"]), int(origin["port"]), context, "/v1/renew", request))
        write_atomically(tls.cert, answer.certificate.encode(), mode=0o644)
    except ImportError:
        log.warning("station.not_renewed reason=cryptography is missing: pip install cryptography")
    except (EnrollError, OSError, ValueError, KeyError, TypeError) as exc:
        log.warning("station.not_renewed reason=%s", exc)
    else:
        log.info("station.renewed until=%s", expires_at(answer.certificate.encode()).date())
        return True
    return False
