// A fault names its line, "site.yaml:12:3 …": a press leads there.
"use strict";

const text = document.getElementById("text");

function lead(line, column) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  text.focus();
  text.setSelectionRange(start + column - 1, start + (lines[line - 1] ?? "").length);
  text.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(text).lineHeight));
}

for (const item of document.querySelectorAll("[data-fault]")) {
  const place = /^[^:]+:(\d+):(\d+) /.exec(item.textContent);
  if (!place) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = item.textContent;
  button.addEventListener("click", () => lead(Number(place[1]), Number(place[2])));
  item.replaceChildren(button);
}
