// Writing an answer: preview as it will read, draft, next task ahead.

import { send } from "./api.js";
import { fetchAhead } from "./ahead.js";
import { startClock } from "./clock.js";
import { bindBanner } from "./connection.js";
import { bindDialogs, foldPrompt, standBelowBar } from "./dialogs.js";
import { keepDraft } from "./drafts.js";
import { bindKeys } from "./keys.js";
import { keepLease } from "./lease.js";
import { bindSending } from "./sending.js";
import { showToday } from "./today.js";

let page;

function start() {
  page?.abort();
  page = new AbortController();
  const { signal } = page;
  const form = document.querySelector("form[data-work=write]");
  const text = form.elements.text;
  const clock = startClock(form, { signal });
  const read = () => ({ text: text.value, note: form.elements.note.value });
  const fill = (said) => {
    text.value = said.text ?? "";
    form.elements.note.value = said.note ?? "";
    clock.atLeast(said.active_seconds);
    text.dispatchEvent(new CustomEvent("podium:filled"));
  };
  const draft = keepDraft(form, { read: () => ({ ...read(), active_seconds: clock.seconds() }), fill, signal });
  const ahead = fetchAhead(form, { kinds: ["demonstrate"], signal });
  const check = () => (text.value.trim() ? null : "Write an answer first.");
  keepLease(form, { clock, ahead, signal });
  bindBanner(form, { signal });
  showToday(form);
  const { submit } = bindSending(form, { read, fill, check, draft, ahead, clock, start, signal });
  bindDialogs(form, { signal });
  foldPrompt(form);
  standBelowBar(form, { signal });
  bindKeys({ submit: "Ctrl+Enter" }, { submit }, { signal });
  form.querySelector("[data-plain]")?.setAttribute("hidden", "");
  form.classList.add("work--live");
  livePreview(form, text, signal);
  text.focus({ preventScroll: true });
}

/* The preview stays open and follows the text, once asked for. */
function livePreview(form, text, signal) {
  const panel = form.querySelector("[data-preview]");
  const count = form.querySelector("[data-count]");
  let timer;
  let newest = 0;
  const draw = async () => {
    if (panel.hidden) return;
    const mine = ++newest;
    const answer = await send(form, form.dataset.apiPreview, { text: text.value }).catch(() => null);
    if (answer && mine === newest) panel.querySelector("[data-preview-body]").innerHTML = answer.html; // the server's cleaned HTML
  };
  const tell = () => {
    const num = text.value.trim() ? text.value.trim().split(/\s+/).length : 0;
    count.textContent = `${num} word${num === 1 ? "" : "s"}`;
  };
  form.querySelector("[data-preview-button]").addEventListener("click", (event) => {
    event.preventDefault();
    panel.hidden = !panel.hidden;
    event.target.textContent = panel.hidden ? "Preview" : "Hide preview";
    draw();
  }, { signal });
  text.addEventListener("input", () => { tell(); clearTimeout(timer); timer = setTimeout(draw, 400); }, { signal });
  text.addEventListener("podium:filled", () => { tell(); draw(); }, { signal });
  tell();
}

window.addEventListener("popstate", () => location.reload());
start();
