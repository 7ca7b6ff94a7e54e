// Species fields offer every known name in both languages; the list is fetched when the first of them is used.
"use strict";

(() => {
  const list = document.getElementById("listed");
  if (!list) return;
  let asked = false;
  const spanish = document.documentElement.lang === "es";

  async function fill() {
    if (asked) return;
    asked = true;
    try {
      const answer = await fetch(list.dataset.names);
      if (!answer.ok) throw new Error(answer.status);
      const options = (await answer.json()).map(([scientific, english, other]) => {
        const [common, foreign] = spanish ? [other, english] : [english, other];
        const option = document.createElement("option");
        option.value = common === scientific ? scientific : `${common} (${scientific})`;
        option.label = foreign && foreign !== common ? `${option.value} · ${foreign}` : option.value;
        return option;
      });
      list.replaceChildren(...options);
    } catch {
      asked = false; // the names of the site are there already; the next focus tries again
    }
  }
  document.addEventListener("focusin", (event) => {
    if (event.target.matches?.('input[list="listed"]')) fill();
  });
})();
