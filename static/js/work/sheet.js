// What the plainer work pages share: draft, lease, next tasks ahead, sending, keys. Each page says how it is read.

import { fetchAhead } from "./ahead.js";
import { startClock } from "./clock.js";
import { bindBanner } from "./connection.js";
import { bindDialogs, foldPrompt, standBelowBar } from "./dialogs.js";
import { keepDraft } from "./drafts.js";
import { bindKeys } from "./keys.js";
import { keepLease } from "./lease.js";
import { bindSending } from "./sending.js";
import { showToday } from "./today.js";

/* `open(form, tools)` → {read, fill, check, keys}; called again for each task that takes the page's place. */
export function openSheets(work, kinds, open) {
  let page; // ends what the last task's page had going

  function start() {
    page?.abort();
    page = new AbortController();
    const { signal } = page;
    const form = document.querySelector(`form[data-work="${work}"]`);
    const clock = startClock(form, { signal });
    const late = { submit: () => {}, changed: () => {} };
    const own = open(form, { signal, submit: () => late.submit(), changed: () => late.changed() });
    const fill = (said) => { own.fill(said); clock.atLeast(said.active_seconds); };
    const draft = keepDraft(form, { read: () => ({ ...own.read(), active_seconds: clock.seconds() }), fill, signal });
    const ahead = fetchAhead(form, { kinds, signal });
    keepLease(form, { clock, ahead, signal });
    bindBanner(form, { signal });
    showToday(form);
    const { submit } = bindSending(form, { read: own.read, fill, check: own.check, draft, ahead, clock, start, signal });
    late.submit = submit;
    late.changed = draft.changed;
    bindDialogs(form, { signal });
    foldPrompt(form);
    standBelowBar(form, { signal });
    bindFixedKeys({ ...own.keys, s: () => openSkip(form), g: () => openGuidelines(), "Ctrl+Enter": submit }, signal);
    form.querySelector("[data-plain]")?.setAttribute("hidden", "");
    form.classList.add("work--live");
  }

  window.addEventListener("popstate", () => location.reload());
  start();
}

/* key → function: these pages have few keys, and the same for everybody. */
function bindFixedKeys(actions, signal) {
  const keys = Object.fromEntries(Object.keys(actions).map((key) => [key, key]));
  bindKeys(keys, { ...actions, digit: (digit) => actions[digit]?.() }, { signal });
}

function openSkip(form) {
  const skip = form.querySelector("[data-skip]");
  skip.open = true;
  skip.querySelector("select").focus();
}

function openGuidelines() {
  document.getElementById("guidelines-panel")?.showModal();
}
