// The first page: new encounters come in at the top, or wait behind a button when the reader has gone on reading.
"use strict";

(() => {
  const list = document.getElementById("encounters");
  const more = document.getElementById("new-ones");
  const said = document.getElementById("said");
  const TOP_PX = 250, MOST_CARDS = 120, MATTERS_MS = 30000;
  const waiting = new Map(); // id → card
  let asked = 0;

  function ago() {
    const form = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });
    const steps = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
    for (const each of document.querySelectorAll("[data-ago]")) {
      const seconds = (Date.parse(each.dataset.ago) - Date.now()) / 1000;
      const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) || steps.at(-1);
      each.textContent = form.format(Math.trunc(seconds / size), unit);
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
    while (list.children.length > MOST_CARDS) list.lastElementChild.remove();
  }

  function show() {
    for (const card of waiting.values()) put(card);
    waiting.clear();
    more.hidden = true;
    ago();
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
    list.querySelector("a")?.focus({ preventScroll: true });
  });

  async function anew(...ids) {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ids) {
      const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
      if (old && fresh) old.replaceChildren(...fresh.children);
    }
    if (window.htmx) window.htmx.process(document.getElementById("main"));
  }

  document.addEventListener("live", ({ detail }) => {
    if (detail.kind === "reset") { anew("encounters", "matters", "older"); return; }
    if (detail.kind === "encounter" && detail.html && list?.dataset.first) take(detail);
    else if (!asked && document.getElementById("matters")) {
      // what matters is asked for now and then, at another moment by every reader
      asked = setTimeout(async () => {
        const answer = await fetch("/now/matters");
        if (answer.ok) document.getElementById("matters").innerHTML = await answer.text();
        asked = 0;
      }, MATTERS_MS * (0.5 + Math.random()));
    }
  });
})();
