// Buttons that open a dialog on this page instead of following their link, and those that close it.

export function bindDialogs(form, { signal }) {
  for (const opener of form.querySelectorAll("[data-opens]")) {
    if (document.getElementById(opener.dataset.opens)) opener.hidden = false;
  }
  form.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    const dialog = opener && document.getElementById(opener.dataset.opens);
    if (dialog) { event.preventDefault(); dialog.showModal(); }
    if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
    if (event.target.matches("dialog[open]")) event.target.close(); // the backdrop
  }, { signal });
}

export function openDialog(id) {
  document.getElementById(id)?.showModal();
}

export function openSkip(form) {
  const skip = form.querySelector("[data-skip]");
  if (!skip) return;
  skip.open = true;
  skip.querySelector("select, input").focus();
}

export function foldPrompt(form) {
  const button = form.querySelector("[data-prompt-more]");
  const section = button?.closest(".work-prompt");
  if (!button) return;
  button.hidden = false;
  section.classList.add("work-prompt--folds");
  button.addEventListener("click", () => {
    const isOpen = section.classList.toggle("is-open");
    button.setAttribute("aria-expanded", String(isOpen));
    button.textContent = isOpen ? "Less" : "Show";
  });
}

/* What sticks to the top sticks below the top bar, however high that is (and to the very top where the bar scrolls away). */
export function standBelowBar(form, { signal }) {
  const bar = document.querySelector(".topbar");
  if (!bar) return;
  const measure = () => {
    const height = getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0;
    form.style.setProperty("--top", `${height}px`);
  };
  const observer = new ResizeObserver(measure);
  observer.observe(bar);
  signal.addEventListener("abort", () => observer.disconnect());
  measure();
}
