// Sends a card's folder in pieces: names the files, asks what is here already, brings the bytes, goes on after anything.
// What is remembered is with the server; the same folder chosen again finds its numbers and offsets there.
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const $ = (id) => document.getElementById(id);
  const API = "/api/v1/uploads", KEY = "tigrillo-upload";
  const NAMED = 500, HASHED_AT_MOST = 64e6, LEAST_PIECE = 64e3, PIECE_S = 6, LANES = 3, MOST_WAIT_S = 60;
  const most = Number(form.dataset.most), suffixes = form.dataset.suffixes.split(",");
  const JUNK = /(^|\/)([.@#$~][^/]*|System Volume Information|lost\+found|Thumbs\.db|desktop\.ini)(\/|$)/i;
  const numbers = new Intl.NumberFormat(form.dataset.language === "es" ? "es-CO" : "en", { maximumFractionDigits: 1 });
  let chosen = [], upload = form.dataset.resume || "", running = false, paused = false, wake = null;

  function text(key, values = {}) {
    const dashed = form.getAttribute(`data-text-${key}`) ?? key;
    return dashed.replace(/\{(\w+)\}/g, (_all, name) => values[name] ?? "");
  }
  function bytes(size) {
    for (const unit of ["B", "kB", "MB", "GB"]) {
      if (size < 1000 || unit === "GB") return `${numbers.format(size)} ${unit}`;
      size /= 1000;
    }
  }
  function duration(s) {
    if (!isFinite(s)) return "…";
    if (s < 90) return text("seconds", { count: Math.ceil(s) });
    return s < 5400 ? text("minutes", { count: Math.round(s / 60) }) : text("hours", { count: numbers.format(s / 3600) });
  }
  const say = (message) => { $("said").textContent = message; };
  const sleep = (s) => new Promise((done) => setTimeout(done, s * 1000));

  // choosing

  async function fromEntry(entry, path, found) {
    if (entry.isFile) {
      const file = await new Promise((done) => entry.file(done, () => done(null)));
      if (file) found.push({ file, name: path + entry.name });
      return;
    }
    const reader = entry.createReader();
    for (;;) { // a reader gives a hundred at a time
      const some = await new Promise((done) => reader.readEntries(done, () => done([])));
      if (!some.length) return;
      for (const each of some) await fromEntry(each, `${path}${entry.name}/`, found);
    }
  }

  function choose(found) {
    const wanted = [], left = new Map();
    for (const each of found) {
      const dot = each.name.lastIndexOf("."), suffix = dot < 0 ? "" : each.name.slice(dot).toLowerCase();
      if (JUNK.test(each.name)) continue;
      if (suffixes.includes(suffix) && each.file.size) wanted.push(each);
      else { const what = each.file.size ? suffix || "?" : "0 B"; left.set(what, (left.get(what) || 0) + 1); }
    }
    chosen = wanted;
    $("chosen").hidden = false;
    const size = wanted.reduce((sum, each) => sum + each.file.size, 0);
    $("what").textContent = wanted.length ? text("chosen", { files: numbers.format(wanted.length), size: bytes(size) }) : text("nothing");
    items($("left-out"), [...left].map(([what, count]) => text("skipped", { count, reason: what })));
    levels();
  }

  // Which folders name the stations: the ones that are known here, else the outermost; one can choose another level.
  function levels() {
    const parts = chosen.map((each) => each.name.split("/"));
    const depth = Math.min(4, ...parts.map((each) => each.length - 1)), select = $("level");
    const known = new Set([...$("known-stations").options].map((each) => each.value));
    let best = 0, most = 0;
    select.replaceChildren();
    for (let level = 0; level < depth; level++) {
      const names = [...new Set(parts.map((each) => each[level]))].sort();
      const hits = names.filter((each) => known.has(each)).length;
      if (hits > most) { best = level; most = hits; }
      select.add(new Option(`${names.slice(0, 4).join(", ")}${names.length > 4 ? " …" : ""}`, String(level)));
    }
    select.value = depth ? String(best) : "";
    stations();
  }

  function stationOf(each) {
    const level = $("level").value;
    return level === "" || level === undefined ? "" : each.name.split("/")[Number(level)] ?? "";
  }

  function stations() {
    const single = $("f-station").value.trim(), counts = new Map();
    $("level-field").hidden = Boolean(single) || $("level").options.length < 2;
    if (!single) for (const each of chosen) counts.set(stationOf(each), (counts.get(stationOf(each)) || 0) + 1);
    items($("by-station"), [...counts].filter(([name]) => name).sort(([a], [b]) => a.localeCompare(b)).slice(0, 30).map(([name, count]) => text("station", { name, count })));
  }

  function items(list, lines) {
    list.replaceChildren(...lines.map((line) => { const item = document.createElement("li"); item.textContent = line; return item; }));
  }

  // talking

  class Refused extends Error {}
  class Ended extends Error {} // somebody cancelled or finished it meanwhile, maybe here in another tab

  // Tries until there is an answer; waits while the link is down. Raises Refused for what trying again won't mend.
  async function ask(method, path, { body, headers = {}, raw = false } = {}) {
    for (let wait = 1; ; wait = Math.min(wait * 2, MOST_WAIT_S)) {
      while (paused) await sleep(0.3);
      let answer = null;
      try {
        answer = await fetch(path, {
          method, body: raw ? body : body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin",
          headers: { accept: "application/json", "x-csrf-token": form.dataset.csrf, ...headers,
            ...(raw ? { "content-type": "application/octet-stream" } : { "content-type": "application/json" }) },
        });
      } catch { say(text("lost")); }
      if (answer?.ok) { say(""); return answer; }
      if (answer && (answer.status === 409 || answer.status === 422) && answer.headers.has("upload-offset")) return answer;
      const busy = !answer || [409, 429, 500, 502, 503, 504, 507].includes(answer.status);
      if (answer) {
        if (path.startsWith(`${API}/`) && (answer.status === 404 || (answer.status === 409 && !answer.headers.has("retry-after")))) throw new Ended();
        const told = await answer.json().catch(() => ({}));
        const reason = told.detail || told.title || String(answer.status);
        if (!busy || (answer.status === 409 && !answer.headers.has("retry-after"))) throw new Refused(reason);
        say(reason);
      }
      await Promise.race([sleep(Number(answer?.headers.get("retry-after")) || wait), new Promise((done) => addEventListener("online", done, { once: true }))]);
    }
  }

  async function sha256(file) {
    if (!crypto.subtle || file.size > HASHED_AT_MOST) return ""; // only where the page came by https
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return [...new Uint8Array(digest)].map((each) => each.toString(16).padStart(2, "0")).join("");
  }

  // sending

  const state = { size: 0, here: 0, done: 0, total: 0, rate: 0, unread: 0, piece: 512e3 };

  function show() {
    const left = state.rate > 0 ? (state.size - state.here) / state.rate : Infinity;
    $("bar").value = state.size ? state.here / state.size : 0;
    $("far").textContent = text(state.done < state.total ? "sending" : "whole", {
      done: numbers.format(state.done), total: numbers.format(state.total), here: bytes(state.here), size: bytes(state.size),
      rate: bytes(Math.round(state.rate)), left: duration(left),
    });
  }

  async function name() {
    const single = $("f-station").value.trim(), todo = [], left = new Map();
    for (let start = 0; start < chosen.length; start += NAMED) {
      const some = chosen.slice(start, start + NAMED);
      const files = some.map((each) => ({
        name: each.name, size: each.file.size, mtime: each.file.lastModified || 0, station: single ? "" : stationOf(each),
      }));
      const told = await (await ask("POST", `${API}/${upload}/files`, { body: { files } })).json();
      told.items.forEach((item, index) => {
        if (item.state === "skipped") { left.set(item.reason, (left.get(item.reason) || 0) + 1); return; }
        state.total++;
        state.size += item.size;
        state.here += item.offset;
        if (item.state === "waiting") todo.push({ file: some[index].file, number: item.number, offset: item.offset });
        else state.done++;
      });
      show();
    }
    items($("left-out"), [...left].map(([reason, count]) => text("skipped", { count, reason })));
    return todo;
  }

  async function send(item) {
    const { file, number } = item;
    let sum = "";
    try { sum = await sha256(file); } catch { state.unread++; return; }
    if (sum && item.offset === 0) {
      const told = await (await ask("POST", `${API}/${upload}/known`, { body: { hashes: { [number]: sum } } })).json();
      if (told.known.includes(number)) { state.here += file.size; state.done++; show(); return; }
    }
    let offset = item.offset, damaged = 0;
    for (;;) {
      const length = Math.min(Math.round(state.piece), most, file.size - offset);
      let piece;
      try { piece = await file.slice(offset, offset + length).arrayBuffer(); } catch { state.unread++; return; }
      const began = performance.now();
      const answer = await ask("PUT", `${API}/${upload}/files/${number}`, {
        body: piece, raw: true, headers: { "upload-offset": String(offset), ...(sum ? { "upload-sha256": sum } : {}) },
      });
      const now = Number(answer.headers.get("upload-offset"));
      state.here += now - offset;
      if (answer.ok) {
        const took = (performance.now() - began) / 1000, rate = length / Math.max(took, 0.01);
        state.rate = state.rate ? state.rate * 0.8 + rate * LANES * 0.2 : rate;
        state.piece = Math.max(LEAST_PIECE, Math.min(most, rate * PIECE_S));
        const told = await answer.json();
        if (told.state === "dropped") throw new Ended();
        if (told.state !== "waiting") { state.done++; show(); return; }
      } else if (answer.status === 422 && ++damaged > 2) throw new Refused(text("failed", { reason: file.name }));
      offset = now;
      show();
    }
  }

  async function run() {
    if (!chosen.length) { $("f-folder").focus(); return; }
    if (!$("f-station").value.trim() && !$("level").options.length) { $("f-station").focus(); $("chosen").hidden = false; $("what").textContent = text("need"); return; }
    Object.assign(state, { size: 0, here: 0, done: 0, total: 0, rate: 0, unread: 0 });
    running = true; paused = false;
    $("send").hidden = true; $("pause").hidden = false; $("progress").hidden = false;
    $("pause").textContent = text("pause");
    for (const id of ["f-station", "f-folder", "f-files", "level"]) $(id).disabled = true;
    let todo = [];
    try { wake = await navigator.wakeLock?.request("screen"); } catch { wake = null; }
    try {
      say(text("checking"));
      if (!upload) {
        const told = await (await ask("POST", API, { body: { station: $("f-station").value.trim() } })).json();
        upload = told.id;
      }
      remember(upload);
      todo = await name();
      htmx.trigger("#uploads", "refresh");
      await Promise.all(Array.from({ length: LANES }, async () => { while (todo.length) await send(todo.shift()); }));
      if (!state.unread) {
        await ask("POST", `${API}/${upload}/finish`);
        remember("");
        upload = "";
      }
      say(state.unread ? text("unread", { count: state.unread }) : text("done"));
    } catch (error) {
      todo.length = 0; // the other lanes end with the file they have
      if (error instanceof Ended) { remember(""); upload = ""; }
      say(error instanceof Ended ? text("ended") : error instanceof Refused ? text("failed", { reason: error.message }) : String(error));
    } finally {
      running = false;
      wake?.release();
      $("send").hidden = false; $("pause").hidden = true;
      for (const id of ["f-station", "f-folder", "f-files", "level"]) $(id).disabled = false;
      htmx.trigger("#uploads", "refresh");
    }
  }

  function remember(id) {
    try { if (id) localStorage.setItem(KEY, id); else localStorage.removeItem(KEY); } catch { /* a private window */ }
  }

  // One that was interrupted in this browser: the page offers to go on.
  async function recall() {
    let id = "";
    try { id = localStorage.getItem(KEY) || ""; } catch { return; }
    if (!id || upload) return;
    const answer = await fetch(`${API}/${id}`, { headers: { accept: "application/json" } }).catch(() => null);
    if (!answer) return;
    const told = answer.ok ? await answer.json() : null;
    if (!told || told.state !== "open") { remember(""); return; }
    upload = id;
    $("f-station").value = told.station;
    $("progress").hidden = false;
    say(text("again"));
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); if (!running) run(); });
  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").textContent = text(paused ? "resume" : "pause");
    say(paused ? text("paused") : "");
  });
  for (const id of ["f-folder", "f-files"])
    $(id).addEventListener("change", (event) =>
      choose([...event.target.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }))));
  $("f-station").addEventListener("input", stations);
  $("level").addEventListener("change", stations);
  const drop = $("drop");
  drop.hidden = false;
  for (const kind of ["dragover", "dragenter"])
    form.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  form.addEventListener("dragleave", () => drop.classList.remove("over"));
  form.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (running) return;
    chosen = []; // until all is read, there is nothing to send
    $("chosen").hidden = false;
    $("what").textContent = text("reading");
    const entries = [...event.dataTransfer.items].map((each) => each.webkitGetAsEntry?.()).filter(Boolean), found = [];
    for (const each of entries) await fromEntry(each, "", found);
    choose(found);
  });
  addEventListener("beforeunload", (event) => { if (running && !paused) event.preventDefault(); });
  recall();
})();
