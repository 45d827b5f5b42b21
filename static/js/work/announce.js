// Says what happened to a screen reader. The same words twice are said twice.

export function announce(form, text) {
  const region = form.querySelector("[data-announce]");
  if (!region) return;
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
}
