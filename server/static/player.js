// The clip player of templates/media/player.html: waits until the clip is made, draws boxes at the time that is shown,
// lists where something begins. Boxes of one track move evenly from sight to sight, others stay for a moment, as
// edge/tracking/between.py has it.
(() => {
  if (window.tigrilloPlayers) return;
  window.tigrilloPlayers = true;
  const HELD_S = 1, SVG = "http://www.w3.org/2000/svg";

  function boxesAt(pictures, time) {
    if (!pictures.length) return [];
    let next = pictures.findIndex((each) => each.time_s > time);
    if (next < 0) next = pictures.length - 1;
    const after = pictures[next], before = pictures[Math.max(0, after.time_s > time ? next - 1 : next)];
    const span = after.time_s - before.time_s, share = span > 0 ? Math.max(0, (time - before.time_s) / span) : 0;
    const then = new Map(after.boxes.filter((each) => each.track !== null).map((each) => [each.track, each]));
    const seen = new Set(before.boxes.map((each) => each.track)), found = [];
    for (const box of before.boxes) {
      const to = box.track !== null && span > 0 ? then.get(box.track) : undefined;
      const mixed = (name) => box[name] * (1 - share) + to[name] * share;
      if (to) found.push({ ...box, x: mixed("x"), y: mixed("y"), w: mixed("w"), h: mixed("h") });
      else if (share <= 0.5 && time - before.time_s <= HELD_S) found.push(box);
    }
    if (share > 0.5 && after.time_s - time <= HELD_S)
      found.push(...after.boxes.filter((each) => each.track === null || !seen.has(each.track)));
    return found;
  }

  function draw(svg, boxes) {
    svg.replaceChildren(...boxes.map((box) => {
      const rect = document.createElementNS(SVG, "rect");
      for (const [name, value] of [["x", box.x], ["y", box.y], ["width", box.w], ["height", box.h], ["class", box.kind]])
        rect.setAttribute(name, value);
      return rect;
    }));
  }

  const clock = (time) => `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, "0")}`;

  // Where each track begins, and each box without one that was not there in the picture before.
  function beginnings(pictures) {
    const known = new Set(), found = [];
    let before = new Set();
    for (const picture of pictures) {
      const here = new Set();
      for (const box of picture.boxes) {
        const key = box.track === null ? `${box.kind} ${box.name}` : box.track;
        here.add(key);
        if (box.track === null ? !before.has(key) : !known.has(key)) found.push({ time: picture.time_s, box });
        known.add(key);
      }
      before = here;
    }
    return found.slice(0, 60);
  }

  async function ready(player, state) {
    for (let tries = 0; tries < 240 && player.isConnected; tries++) {
      const answer = await fetch(player.dataset.clip, { headers: { range: "bytes=0-0" } }).catch(() => null);
      if (answer && (answer.status === 206 || answer.status === 200)) return true;
      if (answer && answer.status !== 202 && answer.status !== 503) return false;
      state.textContent = player.dataset.making;
      await new Promise((done) => setTimeout(done, 1000 * Number(answer?.headers.get("retry-after") || 3)));
    }
    return false;
  }

  async function start(player) {
    if (player.dataset.started) return;
    player.dataset.started = "1";
    const video = player.querySelector("video"), svg = player.querySelector(".boxes");
    const state = player.querySelector(".player-state"), list = player.querySelector(".player-jumps");
    video.removeAttribute("src");
    let pictures = [], current = null;

    const show = () => {
      draw(svg, boxesAt(pictures, video.currentTime));
      const passed = [...list.querySelectorAll("a")].filter((each) => Number(each.dataset.time) <= video.currentTime + 0.05).pop();
      if (passed === current) return;
      current?.removeAttribute("aria-current");
      passed?.setAttribute("aria-current", "true");
      current = passed;
    };
    const follow = () => {
      show();
      if (!video.paused && !video.ended) requestAnimationFrame(follow);
    };
    const go = (time) => {
      const move = () => { video.currentTime = time; video.pause(); };
      if (video.readyState >= 1) move();
      else { video.addEventListener("loadedmetadata", move, { once: true }); video.load(); }
    };
    video.addEventListener("play", follow);
    for (const name of ["seeked", "timeupdate", "loadeddata"]) video.addEventListener(name, show);
    list.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-time]");
      if (!link) return;
      event.preventDefault();
      go(Number(link.dataset.time));
    });
    // "," and "." as in video editors: one looked-at picture back or on, while the player has the focus
    player.addEventListener("keydown", (event) => {
      if ((event.key !== "," && event.key !== ".") || event.ctrlKey || event.metaKey || event.altKey) return;
      const at = video.currentTime, times = pictures.map((each) => each.time_s);
      const to = event.key === "." ? times.find((each) => each > at + 0.02) : times.filter((each) => each < at - 0.02).pop();
      if (to !== undefined) { event.preventDefault(); go(to); }
    });

    const told = await fetch(player.dataset.tracks, { headers: { accept: "application/json" } }).catch(() => null);
    if (told?.ok) {
      const tracks = await told.json();
      pictures = tracks.pictures;
      if (tracks.width && tracks.height) { video.width = 640; video.height = Math.round(640 * tracks.height / tracks.width); }
      if (!list.children.length)
        for (const each of beginnings(pictures)) {
          const link = document.createElement("a"), item = document.createElement("li");
          link.href = `${player.dataset.clip}#t=${each.time.toFixed(2)}`;
          link.dataset.time = each.time;
          link.className = `chip ${each.box.kind}`;
          link.textContent = `${clock(each.time)} ${each.box.name} ${Math.round(each.box.score * 100)} %`;
          item.append(link);
          list.append(item);
        }
      show();
    }
    const made = await ready(player, state);
    state.textContent = made ? "" : player.dataset.failed;
    if (!made) return;
    video.preload = "metadata";
    video.src = player.dataset.clip;
  }

  const all = (root) => (root.querySelectorAll ? root : document).querySelectorAll("[data-player]").forEach(start);
  all(document);
  document.addEventListener("htmx:load", (event) => all(event.target?.parentNode ?? document));
})();
