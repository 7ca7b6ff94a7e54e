// The list of messages: loads its rows anew a few seconds after something happened to one, unless somebody works in it.
"use strict";

(() => {
  const rows = document.getElementById("messages");
  const AGAIN_MS = 5000;
  let asked = 0;

  async function anew() {
    asked = 0;
    if (rows.contains(document.activeElement)) return; // what has the focus stays where it is
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("messages");
    if (!fresh) return;
    rows.replaceChildren(...fresh.children);
    if (window.htmx) window.htmx.process(rows);
  }

  if (rows) document.addEventListener("live", ({ detail }) => {
    // at another moment by every reader
    if (["alert", "reset"].includes(detail.kind) && !asked) asked = setTimeout(anew, AGAIN_MS * (0.5 + Math.random()));
  });
})();
