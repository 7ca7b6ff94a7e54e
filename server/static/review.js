// The grid by keyboard: one card has the focus, some are chosen, an answer goes to these and the next one has the focus.
// Without this file the same form works with its buttons.
"use strict";

(() => {
  const list = document.getElementById("cards");
  const desk = document.getElementById("answers");
  if (!list) return;
  const said = document.getElementById("said-live");
  const done = []; // what can be taken back, the last one last
  let current = null;
  let anchor = null;

  const cards = () => [...list.querySelectorAll(":scope > .seq")];
  const box = (card) => card.querySelector(".pick");
  const goal = (card) => box(card) ?? card.querySelector("h3 a");
  const chosen = () => cards().filter((card) => box(card)?.checked);
  const meant = () => (chosen().length ? chosen() : current ? [current] : []);
  const open = (card) => Number(card.dataset.unreviewed) > 0 && card.getAttribute("aria-busy") !== "true";

  function prepare() {
    for (const card of cards()) {
      for (const link of card.querySelectorAll("a")) link.tabIndex = -1;
      goal(card).tabIndex = card === current ? 0 : -1;
    }
    if (!current?.isConnected) settle(cards()[0]);
    count();
  }

  function settle(card) {
    if (!card) return;
    if (current?.isConnected) goal(current).tabIndex = -1;
    current = card;
    goal(card).tabIndex = 0;
  }

  function focus(card) {
    if (!card) return;
    settle(card);
    goal(card).focus({ preventScroll: true });
    const { top, bottom } = card.getBoundingClientRect();
    const floor = innerHeight - (desk?.offsetHeight ?? 0) - 12;
    if (top < 8 || bottom > floor) scrollBy({ top: top < 8 ? top - 12 : Math.min(bottom - floor, top - 12) });
    if (cards().indexOf(card) >= cards().length - 8) list.querySelector(".more a[hx-get]")?.click();
  }

  function columns() {
    const all = cards();
    const second = all.findIndex((card) => card.offsetTop > all[0].offsetTop);
    return second < 0 ? all.length : second;
  }

  function move(step, reach) {
    const all = cards();
    const from = Math.max(all.indexOf(current), 0);
    const to = Math.min(Math.max(from + step, 0), all.length - 1);
    if (reach) {
      anchor ??= from;
      const [first, last] = [Math.min(anchor, to), Math.max(anchor, to)];
      all.forEach((card, place) => box(card) && (box(card).checked = place >= first && place <= last));
      count();
    } else anchor = null;
    focus(all[to]);
  }

  function count() {
    if (!desk) return;
    const many = chosen().length;
    desk.classList.toggle("idle", !many);
    document.getElementById("chosen").textContent = many
      ? desk.dataset.chosen.replace("{count}", many)
      : matchMedia("(hover: none)").matches ? desk.dataset.touch : desk.dataset.none;
  }

  // loud: what somebody has to see, not only to know
  function tell(text, loud = false) {
    said.textContent = text;
    document.getElementById("lately").textContent = text;
    if (loud) window.tigrillo?.toast(text);
  }

  // The cards of an answer in the place of the old ones; who has the focus keeps it.
  function swap(page) {
    for (const fresh of page.querySelectorAll("li.seq")) {
      const old = document.getElementById(fresh.id);
      if (!old) continue;
      const card = document.importNode(fresh, true);
      const href = old.querySelector("h3 a").getAttribute("href");
      for (const link of card.querySelectorAll("a")) link.setAttribute("href", href);
      const picture = old.querySelector(".shot img");
      if (picture.getAttribute("src") === card.querySelector(".shot img").getAttribute("src")) {
        card.querySelector(".shot img").replaceWith(picture); // it is there already: no flicker
      }
      const had = old.contains(document.activeElement);
      if (old === current) current = card;
      old.replaceWith(card);
      if (had) goal(card).focus({ preventScroll: true });
    }
    prepare();
  }

  function form(targets, values) {
    const data = new URLSearchParams(new FormData(desk));
    data.delete("sequence");
    for (const card of targets) data.append("sequence", card.dataset.pk);
    data.set("action", crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(36).slice(2, 12)}`);
    data.set("seen", Math.max(0, ...targets.map((card) => Number(card.dataset.seen))));
    for (const [name, value] of Object.entries(values)) data.set(name, value);
    return data;
  }

  function send(path, data, targets, back) {
    const pks = targets.map((card) => card.dataset.pk);
    const here = () => pks.map((pk) => document.getElementById(`s-${pk}`)).filter(Boolean);
    for (const card of targets) {
      card.setAttribute("aria-busy", "true");
      card.classList.remove("refused");
    }
    reviewQueue.add(path, data, {
      kept(page) {
        const told = page.getElementById("said");
        swap(page);
        for (const card of here()) {
          card.removeAttribute("aria-busy");
          if (path === "/review/answer" && !page.getElementById(card.id)) {
            card.dataset.unreviewed = 0; // its sequence has another number by now, of its full frame for instance
            card.classList.add("answered");
          }
        }
        if (back) done.push({ ...back(told?.dataset.action ?? ""), pks });
        document.getElementById("undo").disabled = !done.length;
        tell(told?.textContent ?? "", told?.dataset.loud === "1");
      },
      refused(text) {
        for (const card of here()) {
          card.removeAttribute("aria-busy");
          card.classList.add("refused");
          if (box(card)) box(card).checked = true;
        }
        count();
        tell(`${desk.dataset.refused}. ${text}`, true);
        if (data.get("what") === "say" && data.get("species")) {
          desk.elements.species.value = data.get("species"); // to be mended
          desk.elements.species.focus();
        }
      },
    });
  }

  function answer(values) {
    const targets = meant();
    if (!targets.length) return;
    const fields = desk.elements;
    if (values.what === "say" && !fields.species.value.trim() && !fields.count.value.trim()) return fields.species.focus();
    send("/review/answer", form(targets, values), targets, (action) => ({ path: "/review/undo", values: { undone: action } }));
    fields.count.value = fields.species.value = "";
    fields.new_name.checked = false;
    onward(targets);
  }

  function favourite() {
    let targets = meant();
    if (!targets.length) return;
    const off = targets.every((card) => card.dataset.favourite === "1");
    if (!off) targets = targets.filter((card) => card.dataset.favourite !== "1"); // taken back, the others stay marked
    const values = { favourite: off ? "0" : "1" };
    const back = () => ({ path: "/review/favourite", values: { favourite: off ? "1" : "0" } });
    send("/review/favourite", form(targets, values), targets, back);
  }

  function takeBack() {
    const last = done.pop();
    if (!last) return;
    const targets = last.pks.map((pk) => document.getElementById(`s-${pk}`)).filter(Boolean);
    send(last.path, form(targets, last.values), targets, null);
    focus(targets[0]);
  }

  // The next card that nobody has answered; where there is none the next one.
  function onward(targets) {
    for (const card of targets) if (box(card)) box(card).checked = false;
    anchor = null;
    const all = cards();
    const last = Math.max(...targets.map((card) => all.indexOf(card)));
    const after = all.slice(last + 1);
    focus(after.find(open) ?? after[0] ?? all[last]);
    count();
  }

  function all() {
    const every = cards().every((card) => box(card)?.checked);
    for (const card of cards()) if (box(card)) box(card).checked = !every;
    count();
  }

  const typing = (at) => at.matches?.("input:not([type=checkbox], [type=radio], [type=range]), select, textarea, [contenteditable]");

  // whether the dialog of keys is open; browsers without popovers show it at the foot of the page
  const helped = () => "popover" in HTMLElement.prototype && document.querySelector("#keys:popover-open");

  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.isComposing || event.altKey || event.metaKey || helped()) return;
    if (typing(target)) {
      if (key === "Escape") focus(current ?? cards()[0]);
      return;
    }
    if (event.ctrlKey) {
      if (key === "z" && desk) {
        event.preventDefault();
        takeBack();
      }
      return;
    }
    const inCards = list.contains(target) || target === document.body || target.id === "main";
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), h: -1, l: 1, k: -columns(), j: columns() };
    const step = steps[key] ?? steps[key.toLowerCase()];
    if (step !== undefined && (inCards || key.length === 1)) {
      event.preventDefault();
      move(step, event.shiftKey);
      return;
    }
    if (key === "Enter" && inCards && current) {
      event.preventDefault();
      current.querySelector("h3 a").click();
    } else if ((key === "x" || (key === " " && target === document.body)) && current && box(current)) {
      event.preventDefault();
      box(current).click();
    } else if (key === "Escape") {
      for (const card of chosen()) box(card).checked = false;
      anchor = null;
      count();
    } else if ((key === "s" || key === "c") && desk) {
      event.preventDefault();
      desk.elements[key === "s" ? "species" : "count"].focus();
    } else if (key.length === 1 && key !== " ") {
      const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
      if (button) {
        event.preventDefault();
        button.click();
      }
    }
  });

  list.addEventListener("change", (event) => {
    if (event.target.matches(".pick")) {
      settle(event.target.closest(".seq"));
      count();
    }
  });
  list.addEventListener("focusin", (event) => settle(event.target.closest(".seq") ?? current));
  // with Shift a click chooses as far as here, from the card that has the focus: it must not get it before
  list.addEventListener("mousedown", (event) => {
    if (event.shiftKey) event.preventDefault();
  });
  list.addEventListener("click", (event) => {
    const card = event.target.closest(".seq");
    if (!card || !event.shiftKey || !box(card)) return;
    event.preventDefault();
    const every = cards();
    const ends = [Math.max(every.indexOf(current), 0), every.indexOf(card)];
    // after the click: a box whose click is prevented gets its old state back
    setTimeout(() => {
      for (const each of every.slice(Math.min(...ends), Math.max(...ends) + 1)) box(each).checked = true;
      count();
    });
  });
  document.addEventListener("htmx:afterSettle", prepare);

  if (desk) {
    for (const each of desk.querySelectorAll(".script")) each.hidden = false;
    document.getElementById("all").addEventListener("click", all);
    document.getElementById("undo").addEventListener("click", takeBack);
    desk.addEventListener("submit", (event) => {
      event.preventDefault();
      const button = event.submitter;
      if (button?.name === "favourite") favourite();
      else answer({ what: button?.value ?? "say" });
    });
    reviewQueue.tell = (many, failures) => {
      const chip = document.getElementById("waiting");
      chip.hidden = !failures;
      chip.textContent = failures ? desk.dataset.waiting.replace("{count}", many) : "";
    };
    addEventListener("beforeunload", (event) => {
      if (reviewQueue.length) event.preventDefault();
    });
  }
  settle(cards().find(open) ?? cards()[0]);
  prepare();
  if (matchMedia("(hover: hover)").matches && current) goal(current).focus({ preventScroll: true });
})();
