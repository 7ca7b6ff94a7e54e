// The species' number keys stay what they were in this browser: the site's most frequent names change while pictures
// come in, and fingers that know a key must not say another species with it.
"use strict";

(() => {
  const KEPT = "tigrillo-review-numbers";
  const buttons = [...document.querySelectorAll("button.species[data-key]")];
  if (!buttons.length) return;

  function known() {
    try {
      return JSON.parse(localStorage.getItem(KEPT)) ?? [];
    } catch {
      return []; // nothing is kept, or nothing may be
    }
  }

  const before = known();
  const places = Array(9).fill("");
  const fresh = buttons.map((button) => button.value).filter((name) => !before.includes(name));
  before.slice(0, places.length).forEach((name, place) => {
    if (buttons.some((button) => button.value === name)) places[place] = name;
  });
  for (const name of fresh) {
    const free = places.indexOf("");
    if (free >= 0) places[free] = name;
  }
  const lines = [...document.querySelectorAll("#keys li[data-name]")];
  places.forEach((name, place) => {
    const button = buttons.find((each) => each.value === name);
    if (!button) return;
    button.dataset.key = button.querySelector("kbd").textContent = place + 1;
    button.parentElement.append(button);
    const line = lines.find((each) => each.dataset.name === name);
    if (!line) return;
    line.value = place + 1;
    line.parentElement.append(line);
  });
  try {
    localStorage.setItem(KEPT, JSON.stringify(places));
  } catch {
    // then they are kept as long as this page
  }
})();
