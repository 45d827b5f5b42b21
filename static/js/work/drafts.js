// Saves what is not sent yet: within a second of a change, and at once when the page goes out of sight.

import { send } from "./api.js";

const WAIT = 500;
const RETRY = 5000;

export function keepDraft(form, { read, signal }) {
  const state = form.querySelector("[data-draft-state]");
  const version = form.elements.draft_version;
  let timer = null;
  let isDirty = false;
  let isStopped = false;
  let running = null;

  const say = (text) => { state.textContent = text; };
  const clock = () => new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

  async function saveNow(keepalive = false) {
    clearTimeout(timer);
    if (!isDirty || isStopped) return;
    isDirty = false;
    version.value = Number(version.value) + 1;
    const body = { payload: read(), version: Number(version.value) };
    try {
      const kept = await send(form, form.dataset.apiDraft, body, { method: "PUT", keepalive });
      if (kept.is_saved) {
        if (!isDirty) say(`draft saved ${clock()}`);
      } else {
        version.value = kept.version;
        say("changed in another window: your next change here replaces it");
      }
    } catch (error) {
      isDirty = true;
      say(error.status === 422 ? error.message : "draft not saved yet, trying again");
      if (!isStopped && error.status !== 422) timer = setTimeout(run, RETRY);
    }
  }

  function run() { running = saveNow(); }

  function changed() {
    if (isStopped) return;
    isDirty = true;
    say("saving …");
    clearTimeout(timer);
    timer = setTimeout(run, WAIT);
  }

  form.addEventListener("input", changed, { signal });
  form.addEventListener("change", changed, { signal });
  document.addEventListener("visibilitychange", () => { if (document.hidden) saveNow(true); }, { signal });
  window.addEventListener("pagehide", () => saveNow(true), { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));

  return {
    changed,
    /* Before a submit: no save may arrive after it. */
    async stop() { isStopped = true; clearTimeout(timer); await running; },
    resume() { isStopped = false; changed(); },
  };
}
