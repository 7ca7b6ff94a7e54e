// The first page: new encounters come in at the top, or wait behind a button when the reader has gone on reading.
"use strict";

(() => {
  const list = document.getElementById("encounters");
  const more = document.getElementById("new-ones");
  const said = document.getElementById("said");
  const TOP_PX = 250, MOST_CARDS = 120, MATTERS_MS = 30000, AGAIN_MS = 10000;
  const waiting = new Map(); // id → card
  let asked = 0, renewing = false;

  function ago() {
    const form = new Intl.RelativeTimeFormat(document.documentElement.lang);
    // steps and rounding as the server has them (Babel's format_timedelta): else texts change as soon as they are here
    const steps = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
    for (const each of document.querySelectorAll("[data-ago]")) {
      const seconds = (Date.parse(each.dataset.ago) - Date.now()) / 1000;
      const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= 0.85 * length) || steps.at(-1);
      each.textContent = form.format(Math.round(seconds / size), unit);
    }
  }
  setInterval(ago, 30000);

  function fits(card) {
    const { station, kind, alerts } = list.dataset;
    return (!station || station === card.dataset.station) && (!kind || kind === card.dataset.kind)
      && (!alerts || card.dataset.alert === "1");
  }

  function put(card) {
    const known = document.getElementById(card.id);
    if (known) {
      const links = [...known.querySelectorAll("a, button")];
      const held = links.indexOf(document.activeElement);
      card.classList.remove("fresh");
      known.replaceWith(card);
      if (held >= 0) [...card.querySelectorAll("a, button")][held]?.focus({ preventScroll: true });
      return;
    }
    const later = [...list.children].find((each) => Number(each.dataset.at) <= Number(card.dataset.at));
    list.insertBefore(card, later || null);
    document.getElementById("none")?.remove();
  }

  function show() {
    for (const card of waiting.values()) put(card);
    waiting.clear();
    more.hidden = true;
    ago();
    if (list.children.length > MOST_CARDS) anew(true); // what was cut off at the end, "Older" would not bring back
  }

  function take(detail) {
    const holder = document.createElement("template");
    holder.innerHTML = detail.html;
    const card = holder.content.firstElementChild;
    if (!card || !fits(card)) return;
    if (document.getElementById(card.id)) { put(card); ago(); return; }
    if (!detail.new) return; // an old one that changed is found by paging
    waiting.set(card.id, card);
    if (scrollY < TOP_PX) {
      const title = card.querySelector("h2").textContent.trim();
      said.textContent = list.dataset.said.replace("{what}", `${title}, ${detail.station}`);
      show();
      return;
    }
    more.textContent = (waiting.size === 1 ? more.dataset.one : more.dataset.many).replace("{count}", waiting.size);
    more.hidden = false;
  }

  more?.addEventListener("click", () => {
    show();
    scrollTo({ top: 0 });
    list.querySelector("h2 a")?.focus({ preventScroll: true });
  });

  // A keyboard that asked for older ones goes on at the first of them.
  let before = null;
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    before = detail.target.id === "older" && detail.target.contains(document.activeElement) ? list.lastElementChild : null;
  });
  document.addEventListener("htmx:afterSettle", () => {
    before?.nextElementSibling?.querySelector("h2 a").focus({ preventScroll: true });
    before = null;
  });

  // The page of now, for one that missed too much. What it lists goes among the rest, or in its place where there is a gap.
  async function anew(whole = false) {
    if (renewing) return;
    renewing = true;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    renewing = false;
    if (!answer) setTimeout(anew, AGAIN_MS, whole);
    if (!answer?.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const cards = [...page.querySelectorAll("#encounters > li")];
    const parts = ["matters"];
    waiting.clear();
    more.hidden = true;
    if (!whole && cards.some((card) => document.getElementById(card.id))) cards.forEach(put);
    else parts.push("encounters", "older");
    for (const id of parts) {
      const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
      if (old && fresh) old.replaceChildren(...fresh.children);
    }
    if (cards.length) document.getElementById("none")?.remove();
    if (window.htmx) window.htmx.process(document.getElementById("main"));
  }

  document.addEventListener("live", ({ detail }) => {
    if (!list?.dataset.first) return;
    if (detail.kind === "reset") anew();
    else if (detail.kind === "encounter" && detail.html) take(detail);
    else if (!asked) {
      // what matters is asked for now and then, at another moment by every reader
      asked = setTimeout(async () => {
        asked = 0;
        const answer = await fetch("/now/matters").catch(() => null);
        if (answer?.ok && !answer.redirected) document.getElementById("matters").innerHTML = await answer.text();
      }, MATTERS_MS * (0.5 + Math.random()));
    }
  });
})();
