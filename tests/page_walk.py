"""Walks a web page as a browser would: every route with every filter, some links of each kind, the review's forms."""

import re
from collections import Counter
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import compile_path

STREAMS = "server.live"  # answers that never end
MOST_BUTTONS = 5  # of a form that are pressed
OFTEN = 1  # links of one kind, with the same parameters, that are followed


@dataclass
class Form:
    """A form of a page."""

    action: str
    method: str
    values: list = field(default_factory=list)
    buttons: list = field(default_factory=list)


class Reader(HTMLParser):
    """The links and forms of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.forms, self._here, self._select = [], {}, None, None
        self.loose = []
        self.feed(text)
        for form, name, value in self.loose:
            if form in self.forms:
                self.forms[form].values.append((name, value))

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        for name in ("href", "src", "hx-get", "data-names"):
            if (known.get(name) or "").startswith("/"):
                self.links.append(unescape(known[name]))
        if tag == "form":
            self._here = Form(known.get("action", ""), known.get("method", "get").lower())
            self.forms[known.get("id", f"#{len(self.forms)}")] = self._here
        elif tag == "select":
            self._select = known.get("name")
        elif tag == "option" and self._select and self._here and known.get("value"):
            self._here.values.append((self._select, known["value"]))
            self._select = None
        elif tag in {"input", "button"} and known.get("name"):
            self._take(tag, known)

    def _take(self, tag, known):
        pair = (known["name"], known.get("value") or ("on" if known.get("type") == "checkbox" else ""))
        if "form" in known:
            self.loose.append((known["form"], *pair))
        elif self._here is not None:
            (self._here.buttons if tag == "button" else self._here.values).append((pair, known.get("formaction")))
            if tag == "input":
                self._here.values[-1] = pair

    def handle_endtag(self, tag):
        if tag == "form":
            self._here = None
        elif tag == "select":
            self._select = None


@dataclass
class Walk:
    """client: of a TestClient. samples: name of a parameter → values to try in paths and queries."""

    client: object
    samples: dict
    routes: list = field(default_factory=list)
    seen: Counter = field(default_factory=Counter)
    failed: list = field(default_factory=list)
    reached: set = field(default_factory=set)

    def __post_init__(self):
        found = iter_route_contexts(self.client.app.app.routes)
        self.routes = [each for each in found if isinstance(each.original_route, APIRoute)]
        self._match = {id(each): compile_path(each.path)[0] for each in self.routes}

    def all_routes(self):
        """Every GET, alone and with each of its parameters."""
        for route in self.routes:
            if "GET" in route.methods and not route.endpoint.__module__.startswith(STREAMS):
                self._route(route)

    def links(self, *, post=""):
        """What pages lead to; forms whose action begins with `post` are sent, too."""
        pages = ["/"]
        while pages:
            pages += self._page(pages.pop(0), post)

    def _route(self, route):
        for path in self._paths(route.path):
            answer = self._get(path)
            if answer.status_code < 300:
                break
        for each in route.original_route.dependant.query_params:
            for value in self.samples.get(each.alias, ("1",)):
                self._get(f"{path}?{each.alias}={value}")

    def _paths(self, template):
        found = [template]
        for name in re.findall(r"\{(\w+)(?::\w+)?\}", template):
            values = self.samples.get(name, ("1",))
            found = [re.sub(rf"\{{{name}(:\w+)?\}}", str(value), path) for path in found for value in values]
        return found

    def _page(self, path, post):
        answer = self._get(path)
        if "text/html" not in answer.headers.get("content-type", ""):
            return []
        page = Reader(answer.text)
        for form in page.forms.values():
            if form.method == "post" and post and form.action.startswith(post) and self._is_new("POST", form.action):
                self._send(form)
        return [link for link in page.links if self._is_new("GET", link)]

    def _send(self, form):
        for (name, value), action in (*form.buttons[:MOST_BUTTONS], (("", ""), None)):
            values = [*form.values, *([(name, value)] if name else [])]
            data = {}
            for key, each in values:
                data.setdefault(key, []).append(each)
            answer = self.client.post(action or form.action, data=data, follow_redirects=True)
            self._note("POST", action or form.action, answer)

    def _is_new(self, method, address):
        """Whether so few of its kind were seen that it is worth a look."""
        parts = urlsplit(address)
        route = self._route_of(method, parts.path)
        if route is None or route.endpoint.__module__.startswith(STREAMS):
            return False
        kind = (method, route.path, frozenset(name for name, _value in parse_qsl(parts.query)))
        self.seen[kind] += 1
        return self.seen[kind] <= OFTEN

    def _route_of(self, method, path):
        mine = (each for each in self.routes if method in each.methods and self._match[id(each)].match(path))
        return next(mine, None)

    def _get(self, address):
        answer = self.client.get(address, follow_redirects=False)
        self._note("GET", address, answer)
        return answer

    def _note(self, method, address, answer):
        if answer.status_code >= 500 and answer.status_code != 503:
            self.failed.append((method, address, answer.status_code))
        route = self._route_of(method, urlsplit(address).path)
        if answer.status_code < 400 and route is not None:
            self.reached.add((method, route.path))
