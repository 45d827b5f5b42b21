// Keeps what is not sent yet, twice: in this browser at once (a killed tab, a lost network), and on the server within a
// second and when the page goes out of sight (another machine). The higher version is the newer one.

import { isUnreachable, send } from "./api.js";
import { inStore } from "./store.js";

const WAIT_HERE = 150;
const WAIT = 500;
const RETRY = 5000;

const keyOf = (form) => `${form.dataset.labeler}:${form.dataset.task}`;

export function keepDraft(form, { read, fill, signal }) {
  const state = form.querySelector("[data-draft-state]");
  const version = form.elements.draft_version;
  const { labeler } = form.dataset;
  let timer = null;
  let timerHere = null;
  let isDirty = false;
  let isStopped = false;
  let running = null;

  const say = (text) => { state.textContent = text; };
  const clock = () => new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

  /* What is here and not yet there has the number that its save will have. */
  function keepHere({ isSaved = false } = {}) {
    clearTimeout(timerHere);
    timerHere = null;
    if (isStopped) return Promise.resolve();
    const entry = { key: keyOf(form), labeler, version: Number(version.value) + (isSaved ? 0 : 1), isSaved, payload: read() };
    return inStore("drafts", "readwrite", (store) => store.put(entry)).catch(() => {}); // a full disk: the server has it soon
  }

  async function saveNow(keepalive = false) {
    clearTimeout(timer);
    if (!isDirty || isStopped) return;
    isDirty = false;
    version.value = Number(version.value) + 1;
    const body = { payload: read(), version: Number(version.value) };
    try {
      const kept = await send(form, form.dataset.apiDraft, body, { method: "PUT", keepalive });
      if (!kept.is_saved) {
        version.value = kept.version;
        say("changed in another window: your next change here replaces it");
      } else if (!isDirty) {
        say(`draft saved ${clock()}`);
        await keepHere({ isSaved: true });
      }
    } catch (error) {
      isDirty = true;
      say(error.status === 422 ? error.message : isUnreachable(error.status) ? "draft kept in this browser" : "draft not saved yet, trying again");
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
    timerHere ??= setTimeout(keepHere, WAIT_HERE);
  }

  function leave() {
    if (timerHere) keepHere();
    saveNow(true);
  }

  /* What this browser has and the page does not: typed before a crash, or without a network. */
  async function restore() {
    const kept = await inStore("drafts", "readonly", (store) => store.get(keyOf(form))).catch(() => null);
    if (!kept || signal.aborted || kept.version <= Number(version.value)) return;
    fill(kept.payload);
    version.value = kept.isSaved ? kept.version : kept.version - 1;
    if (kept.isSaved) say("draft saved");
    else changed();
  }

  form.addEventListener("input", changed, { signal });
  form.addEventListener("change", changed, { signal });
  document.addEventListener("visibilitychange", () => { if (document.hidden) leave(); }, { signal });
  window.addEventListener("pagehide", leave, { signal });
  window.addEventListener("online", () => { if (isDirty) run(); }, { signal });
  signal.addEventListener("abort", () => { clearTimeout(timer); clearTimeout(timerHere); });
  restore();
  forgetOthers(labeler).catch(() => {});

  return {
    changed,
    /* Before a submit: no save may arrive after it. */
    async stop() { isStopped = true; clearTimeout(timer); clearTimeout(timerHere); await running; },
    resume() { isStopped = false; changed(); },
    /* The answer is on its way; nothing is left to draft. */
    forget: () => inStore("drafts", "readwrite", (store) => store.delete(keyOf(form))),
  };
}

/* An answer that the server did not take becomes a draft again. */
export function putBack({ labeler, task, version, body }) {
  return inStore("drafts", "readwrite", (store) => store.put({ key: `${labeler}:${task}`, labeler, version, isSaved: false, payload: body }));
}

/* Of other people who used this browser only what no server has yet stays; it is shown to nobody else. */
async function forgetOthers(labeler) {
  const kept = (await inStore("drafts", "readonly", (store) => store.getAll())) ?? [];
  for (const { key } of kept.filter((draft) => draft.labeler !== labeler && draft.isSaved)) {
    await inStore("drafts", "readwrite", (store) => store.delete(key));
  }
}
