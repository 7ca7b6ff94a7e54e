// What every page does: says when the server does not answer, shows messages, keeps the focus where it was.
"use strict";

const lost = () => document.getElementById("lost");

function toast(text) {
  const item = document.createElement("p");
  item.textContent = text;
  document.getElementById("toasts").append(item);
  setTimeout(() => item.remove(), 6000);
}

document.addEventListener("htmx:sendError", () => {
  lost().textContent = document.body.dataset.lost;
  lost().hidden = false;
});
document.addEventListener("htmx:afterOnLoad", () => {
  lost().hidden = true;
});
// The server says what went wrong; a part that can't be shown in its place is shown as a message.
document.addEventListener("htmx:responseError", (event) => {
  const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
  const text = [...page.querySelectorAll("main h1, main .detail")].map((each) => each.textContent.trim()).join(": ");
  toast(text || document.body.dataset.lost);
});
// What had the focus may be gone with the part that was swapped: the same thing in the new part has it then, or the part,
// so that a keyboard or a screen reader goes on there and not at the top of the page.
const reachable = (part) => [...part.querySelectorAll("a[href], button, input, select, textarea, summary")];
let held = null;
document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
  const at = reachable(target).indexOf(document.activeElement);
  held = at < 0 ? null : { at, text: document.activeElement.textContent };
});
document.addEventListener("htmx:afterSettle", ({ target }) => {
  if (!held || document.activeElement !== document.body) return;
  const same = reachable(target)[held.at];
  const goal = same?.textContent === held.text ? same : target;
  if (goal === target) target.tabIndex = -1;
  goal.focus({ preventScroll: true });
  held = null;
});
// `HX-Trigger: {"toast": "text"}` in an answer.
document.addEventListener("toast", (event) => toast(event.detail.value ?? event.detail));

// On a phone the head has room for a few pages: the one that is open is among them.
document.querySelector(".nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

window.tigrillo = { toast };
