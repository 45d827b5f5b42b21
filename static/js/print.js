// A button that prints the page, shown where a script can do it; the browser's own menu does it everywhere.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
