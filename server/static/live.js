// News of the server (GET /events) → "live" events on the document: {kind, …}. Other scripts listen to these.
// A line that breaks is tried again, ever more slowly; a page nobody looks at has none: over HTTP/1.1 a browser has six
// lines to a server, and ten tabs that keep one each leave none for pages.
"use strict";

(() => {
  const light = document.getElementById("live");
  if (!light || !window.EventSource) return;
  const KINDS = ["encounter", "frame", "alert", "station", "quarantine", "summary", "reset"];
  const FIRST_MS = 2000, MOST_MS = 60000, HIDDEN_MS = 5000, SAY_AFTER_MS = 5000;
  const QUIET_MS = 40000; // the server says something each 15 s: a telephone without signal breaks no line, it only hears nothing
  let source = null, last = "", pause = FIRST_MS, again = 0, hiding = 0, saying = 0, quiet = 0, heardAt = new Date();
  // to who listens to the page it is no news that one which has just opened is live
  setTimeout(() => light.setAttribute("aria-live", "polite"), 3000);

  function say(state, text) {
    if (light.dataset.state === state) return;
    light.dataset.state = state;
    light.textContent = text;
    light.hidden = false;
  }

  function heard(event) {
    last = event.lastEventId;
    heardAt = new Date();
    clearTimeout(quiet);
    quiet = setTimeout(broken, QUIET_MS);
  }

  function broken() {
    close();
    if (!saying && light.dataset.state !== "lost") {
      const since = heardAt.toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
      saying = setTimeout(() => { saying = 0; say("lost", light.dataset.lost.replace("{time}", since)); }, SAY_AFTER_MS);
    }
    // not all at once when the server comes back
    again = setTimeout(open, pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, MOST_MS);
  }

  function close() {
    clearTimeout(again);
    clearTimeout(quiet);
    if (source) source.close();
    source = null;
  }

  function open() {
    close();
    if (document.hidden) return;
    quiet = setTimeout(broken, QUIET_MS);
    source = new EventSource("/events" + (last ? "?last=" + encodeURIComponent(last) : ""));
    source.onerror = broken;
    source.addEventListener("alive", heard);
    source.addEventListener("ready", (event) => {
      heard(event);
      pause = FIRST_MS;
      clearTimeout(saying);
      saying = 0;
      say("on", light.dataset.on);
    });
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        heard(event);
        const detail = { ...JSON.parse(event.data), kind };
        document.dispatchEvent(new CustomEvent("live", { detail }));
      });
    }
  }

  function openSoon() {
    pause = FIRST_MS;
    open();
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
    else if (!source) openSoon();
  });
  addEventListener("offline", () => { if (source) broken(); });
  addEventListener("online", openSoon);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
})();
