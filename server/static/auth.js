// The first run: the zone that the browser is set to, where the site has none of its own yet.
"use strict";

for (const field of document.querySelectorAll("input[data-guess]")) {
  const guess = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = [...document.querySelectorAll("#zones option")].some((each) => each.value === guess);
  if (known && field.value === "UTC") field.value = guess;
}

// After the first run: the page's own process starts anew; go on when it was away and is there again, or never went.
for (const waiting of document.querySelectorAll("[data-starting]")) {
  const began = Date.now();
  let away = false;
  const look = async () => {
    let here = false;
    try {
      here = (await fetch(waiting.dataset.starting, { cache: "no-store" })).ok;
    } catch {
      here = false;
    }
    away ||= !here;
    if (here && (away || Date.now() - began > 30_000)) location.replace("/");
    else setTimeout(look, 500);
  };
  look();
}
