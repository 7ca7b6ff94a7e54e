// The first run: the zone that the browser is set to, where the site has none of its own yet.
"use strict";

for (const field of document.querySelectorAll("input[data-guess]")) {
  const guess = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = [...document.querySelectorAll("#zones option")].some((each) => each.value === guess);
  if (known && field.value === "UTC") field.value = guess;
}
