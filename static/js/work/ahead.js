// The next task, held and fetched while this one is still being read, so that it stands there at once.

import { send } from "./api.js";

const WAIT = 2500;

export function fetchAhead(form, { kinds, signal }) {
  let held = null; // {url, task, page}
  let isUsed = false;

  async function look() {
    try {
      const found = await send(form, form.dataset.apiNext, { kinds, besides: form.dataset.task });
      if (!found.url || signal.aborted) return;
      held = { url: found.url, task: found.sheet.task };
      const answer = await fetch(found.url, { credentials: "same-origin", redirect: "error" });
      if (answer.ok) held.page = await answer.text();
    } catch { /* then the next page loads in the ordinary way */ }
  }
  const timer = setTimeout(look, WAIT);

  const address = (name) => form.dataset[name].replace(form.dataset.task, held.task);
  function giveBack() {
    if (held && !isUsed) send(form, address("apiRelease"), {}, { keepalive: true }).catch(() => {});
    held = null;
  }
  window.addEventListener("pagehide", giveBack, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));

  return {
    hasPage: () => Boolean(held?.page),
    async renew() { if (held) await send(form, address("apiRenew")); },
    /* The page that was fetched, or null. Afterwards it is the caller's to show. */
    take() { isUsed = held !== null; clearTimeout(timer); return held; },
  };
}
