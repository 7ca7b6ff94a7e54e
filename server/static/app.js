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
// `HX-Trigger: {"toast": "text"}` in an answer.
document.addEventListener("toast", (event) => toast(event.detail.value ?? event.detail));

// On a phone the head has room for a few pages: the one that is open is among them.
document.querySelector(".nav a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

window.tigrillo = { toast };
