// Keeps the hold on the task (and on the one fetched ahead) while somebody is working; says so when it is lost.

import { send } from "./api.js";

export function keepLease(form, { clock, ahead, signal }) {
  const lost = form.querySelector("[data-lost]");
  const every = Math.max(20, Number(form.dataset.leaseMinutes) * 20) * 1000; // a third of the lease

  async function renew() {
    if (!clock.isActive()) return;
    try {
      const { lease_until: until } = await send(form, form.dataset.apiRenew);
      lost.hidden = until !== null;
      await ahead?.renew();
    } catch { /* no connection now; the next beat tries again, and a late submit still counts if its place is free */ }
  }

  const timer = setInterval(renew, every);
  let hiddenSince = null;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenSince = Date.now();
    else if (hiddenSince && Date.now() - hiddenSince > every) renew();
  }, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
}
