// The frame's behaviour: colours, menus, search, movement in lists. Every part works without it, by plain links and forms.

import { reachScrollers } from "./scrollers.js";

const inField = (event) => event.target.closest?.("input, textarea, select, [contenteditable]");

/* Colours: the server writes the cookie's choice into <html>, so that no page flashes; here only the switch itself. */
function setTheme(value) {
  const seconds = value ? 31536000 : 0;
  document.cookie = `theme=${value}; path=/; max-age=${seconds}; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
  if (value) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
  document.dispatchEvent(new CustomEvent("podium:theme"));
}
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-theme-form]")) return;
  event.preventDefault();
  setTheme(event.submitter?.value ?? "");
  event.target.closest("details")?.removeAttribute("open");
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("podium:theme")));

/* Menus: one open at a time; Esc and a click outside close. */
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.removeAttribute("open");
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.removeAttribute("open");
  menu.querySelector("summary").focus();
});

/* Search: Ctrl-K opens a dialog that fills itself from the search page. */
const dialog = document.getElementById("search-dialog");
if (dialog) {
  const results = dialog.querySelector("[data-search-results]");
  const input = dialog.querySelector("input[type=search]");
  const links = () => [...results.querySelectorAll("a[href]")];
  const open = () => { dialog.showModal(); input.select(); };
  let newest = 0;
  let timer;

  const ask = async () => {
    const mine = ++newest;
    const text = input.value.trim();
    if (!text) { results.replaceChildren(); return; }
    const address = `${input.form.action}?${new URLSearchParams({ q: text })}`;
    const answer = await fetch(address, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (mine !== newest) return; // an older answer never replaces a newer one
    if (answer?.ok) results.innerHTML = await answer.text();
    else results.textContent = "The search did not answer. Press Enter to try as a page.";
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-search-open]") && !event.ctrlKey && !event.metaKey) { event.preventDefault(); open(); }
    if (event.target === dialog) dialog.close();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); open(); }
  });
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 150); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [input, ...links()];
    const step = event.key === "ArrowDown" ? 1 : -1;
    event.preventDefault();
    stops[Math.max(0, Math.min(stops.length - 1, stops.indexOf(document.activeElement) + step))].focus();
  });
}

/* Lists: J and K (or the arrows, once a row has the focus) move over the rows' main links; X ticks the row; / goes to the filter. */
function moveInList(step) {
  const links = [...document.querySelectorAll("main .table a.row-link")];
  if (!links.length) return false;
  const here = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  links[here === -1 ? (step > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, here + step))].focus();
  return true;
}
document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || inField(event) || document.querySelector("dialog[open]")) return;
  const inRow = document.activeElement?.closest("main .table tbody");
  const step = event.key === "j" || (inRow && event.key === "ArrowDown") ? 1 : event.key === "k" || (inRow && event.key === "ArrowUp") ? -1 : 0;
  if (step && moveInList(step)) event.preventDefault();
  if (event.key === "x") inRow && document.activeElement.closest("tr")?.querySelector("input[type=checkbox]")?.click();
  if (event.key === "/") {
    const filter = document.querySelector(".filters input[type=search]");
    if (filter) { event.preventDefault(); filter.focus(); }
  }
});

/* Filters apply at once; without this there is a button. */
for (const form of document.querySelectorAll("form.filters[data-auto]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

/* Small things: dismiss messages, copy a secret, ask before what cannot be undone, show the active station. */
for (const button of document.querySelectorAll("[data-dismiss]")) {
  button.hidden = false;
  button.addEventListener("click", () => button.closest(".toast").remove());
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
    button.textContent = "Copied";
  });
}
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
for (const link of document.querySelectorAll(":is(.flow, .tabs) a[aria-current]")) {
  const row = link.parentElement; // sideways only: an address may name a place further down
  row.scrollLeft += link.getBoundingClientRect().left - row.getBoundingClientRect().left - (row.clientWidth - link.offsetWidth) / 2;
}

/* Wide tables and formulas: reached by Tab only while they scroll. */
new ResizeObserver(() => reachScrollers()).observe(document.body);
