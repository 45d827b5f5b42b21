// The banner over the work while there is no connection. The browser's word counts, and what requests found.

export function bindBanner(form, { signal }) {
  const banner = form.querySelector("[data-offline]");
  const show = (isReached) => { banner.hidden = isReached; };
  window.addEventListener("offline", () => show(false), { signal });
  window.addEventListener("online", () => show(true), { signal });
  document.addEventListener("podium:connection", (event) => show(event.detail.isReached), { signal });
  show(navigator.onLine);
}
