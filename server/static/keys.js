// Single keys can be turned off, in the list of them, for this browser: who speaks to a computer types words, and a letter
// that was misheard must say nothing of a picture (WCAG 2.1.4).
"use strict";

(() => {
  const choice = document.getElementById("keys-on");
  if (!choice) return;
  choice.closest("p").hidden = false;
  choice.checked = localStorage.getItem("keys") !== "off";
  choice.addEventListener("change", () => localStorage.setItem("keys", choice.checked ? "on" : "off"));
  // before all that listens on the document; what is typed into a field is typed all the same
  addEventListener("keydown", (event) => {
    if (!choice.checked && event.key.length === 1 && !event.ctrlKey) event.stopImmediatePropagation();
  }, true);
})();
