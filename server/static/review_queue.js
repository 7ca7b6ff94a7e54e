// Answers on their way to the server: in order, one at a time, sent again until it has them. Each form carries the id of
// its action, so that one that arrives twice is written once.
"use strict";

const reviewQueue = (() => {
  const waiting = [];
  const pauses = [1000, 2000, 5000, 10000, 20000];
  let busy = false;
  let failures = 0;

  // tell: called with how many wait whenever that changes.
  const queue = { tell: () => {}, add, get length() { return waiting.length; } };

  // form: URLSearchParams. Calls kept(page) with the answer as a document, or refused(text).
  function add(path, form, { kept, refused }) {
    waiting.push({ path, form, kept, refused });
    next();
  }

  async function next() {
    queue.tell(waiting.length, failures);
    if (busy || !waiting.length) return;
    busy = true;
    const { path, form, kept, refused } = waiting[0];
    try {
      const stop = new AbortController();
      const clock = setTimeout(() => stop.abort(), 30000);
      const answer = await fetch(path, {
        method: "POST",
        body: form,
        headers: { "hx-request": "true", "x-csrf-token": form.get("csrf") ?? "" },
        signal: stop.signal,
        redirect: "error",
      });
      const text = await answer.text();
      clearTimeout(clock);
      if (answer.status >= 500 || answer.status === 429) throw new Error(answer.status);
      if (answer.headers.get("hx-redirect")) location.assign(answer.headers.get("hx-redirect"));
      const page = new DOMParser().parseFromString(text, "text/html");
      waiting.shift();
      failures = 0;
      busy = false;
      if (answer.ok) kept(page);
      else refused((page.querySelector("main .detail") ?? page.querySelector("main h1"))?.textContent.trim() ?? "");
      next();
    } catch {
      busy = false;
      const pause = pauses[Math.min(failures, pauses.length - 1)];
      failures += 1;
      queue.tell(waiting.length, failures);
      setTimeout(next, pause);
    }
  }

  addEventListener("online", next);
  return queue;
})();
