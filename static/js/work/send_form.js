// Answers that the browser's own form sends: changes from the history, reviews. What is missing is said before.

import { announce } from "./announce.js";

export function sendByForm(form, { check, clock, draft = null, signal }) {
  let mayGo = !draft;

  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    const action = button?.value || "submit";
    if (action === "draft" || action === "look") { event.preventDefault(); draft?.changed(); return; } // Enter in a field
    const missing = action === "submit" ? check() : null;
    if (missing) { event.preventDefault(); say(missing); return; }
    form.elements.active_seconds.value = clock.seconds();
    form.elements.client_time.value = new Date().toISOString();
    if (mayGo) return;
    event.preventDefault();
    finish(button);
  }, { signal });

  /* No save may arrive after the answer, and what is sent is no draft any more. */
  async function finish(button) {
    await draft.stop();
    await draft.forget();
    mayGo = true;
    form.requestSubmit(button);
  }

  function say(missing) {
    announce(form, missing);
    const note = Object.assign(document.createElement("div"), { className: "note note--failed", textContent: missing });
    form.querySelector("[data-errors]").replaceChildren(note);
    note.scrollIntoView({ block: "nearest" });
  }

  return { submit: () => form.requestSubmit(form.querySelector("[data-submit]")) };
}
