// One sequence: pictures change in place, zoom, light, boxes with labels, keys. Without this file all of it are links
// and a form.
"use strict";

(() => {
  const stage = document.getElementById("stage");
  const pane = document.getElementById("pane");
  const form = document.getElementById("answer");
  const strip = [...document.querySelectorAll(".film a[data-frame]")];
  const THEN = "tigrillo-review-then";
  const LIGHT = "2.2";

  // where a picture lies in its stage: scale 1 is whole, x and y in pixels
  const view = { scale: 1, x: 0, y: 0 };

  function draw() {
    const { clientWidth: wide, clientHeight: high } = stage;
    view.x = Math.min(0, Math.max(view.x, wide * (1 - view.scale)));
    view.y = Math.min(0, Math.max(view.y, high * (1 - view.scale)));
    pane.style.transform = view.scale === 1 ? "" : `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    stage.classList.toggle("near", view.scale > 1);
  }

  // times: how much nearer; the point (x, y) of the stage stays where it is.
  function zoom(times, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const scale = Math.min(8, Math.max(1, view.scale * times));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    draw();
  }

  function whole() {
    Object.assign(view, { scale: 1, x: 0, y: 0 });
    draw();
  }

  function label() {
    for (const each of pane.querySelectorAll(".label")) {
      const { x, y, h } = each.dataset;
      const below = Number(y) < 0.07;
      each.style.left = `${Math.min(Number(x), 0.8) * 100}%`;
      if (below) each.style.top = `${Math.min((Number(y) + Number(h)) * 100, 93)}%`;
      else each.style.bottom = `${(1 - Number(y)) * 100}%`;
      each.classList.add("placed");
    }
    [...pane.querySelectorAll(".boxes rect")].forEach((rect, place) => {
      rect.addEventListener("click", () => mean(place));
    });
  }

  // A box that is clicked is what the answer is about; again, and it is the whole sequence.
  function mean(place) {
    const radio = form?.querySelectorAll('#only-boxes input[name="target"]')[place];
    if (!radio) return;
    const again = radio.checked;
    (again ? form.querySelector('input[name="target"]') : radio).checked = true;
    mark();
  }

  function mark() {
    const radios = [...(form?.querySelectorAll('#only-boxes input[name="target"]') ?? [])];
    pane?.querySelectorAll(".boxes rect").forEach((rect, place) => rect.classList.toggle("meant", Boolean(radios[place]?.checked)));
  }

  const SVG = "http://www.w3.org/2000/svg";

  function boxesOf(link) {
    return link.dataset.boxes.split("|").filter(Boolean).map((each) => {
      const [x, y, w, h, kind, pk, ...name] = each.split(" ");
      return { x, y, w, h, kind, pk, name: name.join(" ") };
    });
  }

  // What is said from now on is said of this picture, however long the server takes to tell more of it.
  function mind(link) {
    for (const id of ["facts", "frame-links"]) document.getElementById(id).hidden = true; // of the one before
    if (!form) return;
    const [here, { frame, favourite }] = [link.getAttribute("href"), link.dataset];
    const boxes = document.getElementById("only-boxes");
    if (boxes.querySelector("input:checked")) form.querySelector('input[name="target"]').checked = true;
    boxes.replaceChildren(...boxesOf(link).slice(0, 12).map(({ pk, name }) => {
      const [choice, radio] = [document.createElement("label"), document.createElement("input")];
      choice.className = "check";
      Object.assign(radio, { type: "radio", name: "target", value: `box:${pk}` });
      choice.append(radio, ` ${boxes.dataset.says}: ${name}`);
      return choice;
    }));
    form.querySelector("#only-frame").value = `frame:${frame}`;
    form.elements.next.value = here;
    const star = document.getElementById("star");
    const button = star.elements.favourite;
    star.elements.frame.value = frame;
    star.elements.next.value = here;
    button.value = favourite === "1" ? "0" : "1";
    button.setAttribute("aria-pressed", String(favourite === "1"));
    button.firstChild.textContent = button.firstChild.textContent.replace(/[★☆]/, favourite === "1" ? "★" : "☆");
  }

  // Another picture of the strip: at once what is known here, then what the server says of it.
  function show(link) {
    if (!stage || link.dataset.kind !== "still") {
      location.assign(link.href);
      return;
    }
    for (const each of strip) each.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
    link.scrollIntoView({ block: "nearest", inline: "center" });
    const picture = pane.querySelector("img");
    const fresh = picture.cloneNode();
    fresh.src = link.dataset.view;
    fresh.alt = link.dataset.says;
    fresh.width = link.dataset.w;
    fresh.height = link.dataset.h;
    picture.replaceWith(fresh);
    let drawn = pane.querySelector(".boxes");
    if (!drawn) {
      drawn = document.createElementNS(SVG, "svg");
      for (const [name, value] of [["class", "boxes"], ["viewBox", "0 0 1 1"], ["preserveAspectRatio", "none"]]) drawn.setAttribute(name, value);
      fresh.after(drawn);
    }
    const labels = pane.querySelector(".labels");
    drawn.replaceChildren();
    labels.replaceChildren();
    for (const { x, y, w, h, kind, name } of boxesOf(link)) {
      const rect = document.createElementNS(SVG, "rect");
      for (const [attribute, value] of Object.entries({ class: kind, x, y, width: w, height: h, "vector-effect": "non-scaling-stroke" })) rect.setAttribute(attribute, value);
      drawn.append(rect);
      const item = document.createElement("li");
      item.className = `label ${kind}`;
      Object.assign(item.dataset, { x, y, h });
      item.textContent = name;
      labels.append(item);
    }
    stage.dataset.frame = link.dataset.frame;
    document.getElementById("stage-says").textContent = link.dataset.says;
    label();
    mind(link);
    history.replaceState(null, "", link.href);
    prefetch(strip.indexOf(link));
    renew(link);
  }

  let asked = 0;

  async function renew(link) {
    const mine = ++asked;
    await new Promise((go) => setTimeout(go, 250));
    if (mine !== asked) return;
    try {
      const answer = await fetch(link.href);
      if (!answer.ok || mine !== asked) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const opened = document.getElementById("facts").open;
      for (const id of ["facts", "frame-links"]) {
        const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
        if (fresh) old.replaceWith(document.importNode(fresh, true));
      }
      document.getElementById("facts").open = opened;
    } catch {
      location.assign(link.href);
    }
  }

  function step(by) {
    const place = strip.findIndex((each) => each.hasAttribute("aria-current"));
    const link = strip[place + by];
    if (link) show(link);
  }

  function prefetch(place) {
    for (const link of [strip[place + 1], strip[place - 1]]) {
      if (link?.dataset.kind === "still") new Image().src = link.dataset.view;
    }
  }

  function light(value) {
    const slider = document.getElementById("light");
    slider.value = value;
    pane.style.filter = Number(value) === 1 ? "" : `brightness(${value})`;
  }

  function toggleBoxes() {
    const button = document.getElementById("boxes");
    const on = stage.classList.toggle("plain");
    button.setAttribute("aria-pressed", String(!on));
  }

  function handle() {
    for (const each of document.querySelectorAll(".tools.script")) each.hidden = false;
    document.getElementById("nearer").addEventListener("click", () => zoom(1.5));
    document.getElementById("farther").addEventListener("click", () => zoom(1 / 1.5));
    document.getElementById("whole").addEventListener("click", whole);
    document.getElementById("boxes").addEventListener("click", toggleBoxes);
    document.getElementById("light").addEventListener("input", (event) => light(event.target.value));
    const at = (event) => {
      const { left, top } = stage.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    stage.addEventListener("dblclick", (event) => (view.scale > 1 ? whole() : zoom(3, ...at(event))));
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && view.scale === 1) return; // the page scrolls
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, ...at(event));
    }, { passive: false });
    const fingers = new Map();
    stage.addEventListener("pointerdown", (event) => fingers.set(event.pointerId, at(event)));
    stage.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now = at(event);
      if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
        const far = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
        zoom(far(now) / Math.max(far(before), 1), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else if (view.scale > 1) {
        view.x += now[0] - before[0];
        view.y += now[1] - before[1];
        draw();
      }
      fingers.set(event.pointerId, now);
    });
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) {
      stage.addEventListener(name, (event) => fingers.delete(event.pointerId));
    }
    stage.addEventListener("dragstart", (event) => event.preventDefault());
    form?.addEventListener("change", mark);
    label();
  }

  const typing = (at) => at.matches?.("input:not([type=checkbox], [type=radio], [type=range]), select, textarea, [contenteditable]");

  // whether the dialog of keys is open; browsers without popovers show it at the foot of the page
  const helped = () => "popover" in HTMLElement.prototype && document.querySelector("#keys:popover-open");

  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.isComposing || event.altKey || event.metaKey || helped()) return;
    if (typing(target)) {
      if (key === "Escape") target.blur();
      return;
    }
    if (event.ctrlKey && key !== "z") return;
    const inControl = target.matches?.("input, video, .player *");
    const keys = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), h: () => step(-1), l: () => step(1),
      "+": () => stage && zoom(1.5), "-": () => stage && zoom(1 / 1.5), 0: () => stage && whole(),
      o: () => stage && toggleBoxes(),
      t: () => stage && light(document.getElementById("light").value === "1" ? LIGHT : "1"),
      s: () => document.getElementById("species")?.focus(), c: () => document.getElementById("count")?.focus(),
    };
    const name = event.ctrlKey ? "u" : key;
    if (inControl && key.startsWith("Arrow")) return;
    if (keys[name]) {
      event.preventDefault();
      keys[name]();
    } else if (name.length === 1 && name !== " ") {
      const button = document.querySelector(`[data-key="${CSS.escape(name)}"]`);
      if (button) {
        event.preventDefault();
        button.click();
      }
    }
  });

  for (const link of strip) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.shiftKey || event.metaKey || !stage) return;
      event.preventDefault();
      show(link);
    });
  }
  if (stage) handle();
  // what stands there is what counts now: kept as it is, or written over
  document.getElementById("species")?.addEventListener("focus", (event) => event.target.select());
  const then = document.getElementById("then");
  if (then) {
    then.checked = localStorage.getItem(THEN) !== "no";
    then.addEventListener("change", () => localStorage.setItem(THEN, then.checked ? "yes" : "no"));
  }
  // the next pictures are here before they are asked for
  addEventListener("load", () => {
    prefetch(strip.findIndex((each) => each.hasAttribute("aria-current")));
    const after = document.querySelector("[data-picture]");
    if (after) new Image().src = after.dataset.picture;
  });
})();
