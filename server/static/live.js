// News of the server (GET /events) → "live" events on the document: {kind, …}. Other scripts listen to these.
// A line that breaks is tried again, ever more slowly; a page nobody looks at has none.
"use strict";

(() => {
  const light = document.getElementById("live");
  if (!light || !window.EventSource) return;
  const KINDS = ["encounter", "frame", "alert", "station", "quarantine", "summary", "reset"];
  const FIRST_MS = 2000, MOST_MS = 60000, HIDDEN_MS = 30000, SAY_AFTER_MS = 5000;
  let source = null, last = "", pause = FIRST_MS, again = 0, hiding = 0, saying = 0;

  function say(state, text) {
    if (light.dataset.state === state) return;
    light.dataset.state = state;
    light.textContent = text;
    light.hidden = false;
  }

  function lost() {
    if (saying || light.dataset.state === "lost") return;
    const since = new Date().toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
    saying = setTimeout(() => { saying = 0; say("lost", light.dataset.lost.replace("{time}", since)); }, SAY_AFTER_MS);
  }

  function close() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  }

  function open() {
    close();
    source = new EventSource("/events" + (last ? "?last=" + encodeURIComponent(last) : ""));
    source.addEventListener("ready", (event) => {
      if (!last) last = event.lastEventId;
      pause = FIRST_MS;
      clearTimeout(saying);
      saying = 0;
      say("on", light.dataset.on);
    });
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        last = event.lastEventId;
        const detail = { ...JSON.parse(event.data), kind };
        document.dispatchEvent(new CustomEvent("live", { detail }));
      });
    }
    source.onerror = () => {
      close();
      lost();
      // not all at once when the server comes back
      again = setTimeout(open, pause * (0.5 + Math.random()));
      pause = Math.min(pause * 2, MOST_MS);
    };
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, HIDDEN_MS);
    else if (!source) { pause = FIRST_MS; open(); }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
})();
