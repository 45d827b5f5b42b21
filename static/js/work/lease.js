// Keeps the hold on the task (and on those fetched ahead) while somebody is working; says so when it is lost.

import { send } from "./api.js";

const LOOK = 20_000;
let lastTime = Date.now(); // of the page, whatever task it shows: a task may lie ahead for longer than each takes

export function keepLease(form, { clock, ahead, signal }) {
  const lost = form.querySelector("[data-lost]");
  const every = Math.max(20, Number(form.dataset.leaseMinutes) * 20) * 1000; // a third of the lease

  async function renew() {
    lastTime = Date.now();
    try {
      const { lease_until: until } = await send(form, form.dataset.apiRenew);
      lost.hidden = until !== null;
      await ahead?.renew();
    } catch { /* no connection now; the next beat tries again, and a late submit still counts if its place is free */ }
  }

  const renewIfDue = () => { if (!document.hidden && clock.isActive() && Date.now() - lastTime >= every) renew(); };
  const timer = setInterval(renewIfDue, Math.min(LOOK, every));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && Date.now() - lastTime >= every) renew(); }, { signal });
  window.addEventListener("online", renew, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
}
