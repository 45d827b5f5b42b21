// What the plainer work pages share: keys and dialogs; for a task in hand draft, lease, next tasks ahead and sending by
// the API; for an answer from the history the form itself. Each page says how it is read.

import { fetchAhead } from "./ahead.js";
import { startClock } from "./clock.js";
import { bindBanner } from "./connection.js";
import { bindDialogs, foldPrompt, openDialog, openSkip, standBelowBar } from "./dialogs.js";
import { keepDraft } from "./drafts.js";
import { bindKeys, ownKeys } from "./keys.js";
import { keepLease } from "./lease.js";
import { sendByForm } from "./send_form.js";
import { bindSending } from "./sending.js";
import { showToday } from "./today.js";

/* `open(form, tools)` → {read, fill, check, actions, always}; called again for each task that takes the page's place. */
export function openSheets(work, kinds, open) {
  let page; // ends what the last task's page had going

  function start() {
    page?.abort();
    page = new AbortController();
    const { signal } = page;
    const form = document.querySelector(`form[data-work="${work}"], form[data-work=revise][data-kind="${work}"]`);
    const clock = startClock(form, { signal });
    const late = { submit: () => {}, changed: () => {} };
    const own = open(form, { signal, submit: () => late.submit(), changed: () => late.changed() });
    const isAgain = form.dataset.work === "revise";
    Object.assign(late, isAgain ? sendByForm(form, { check: own.check, clock, signal }) : takeInHand(form, own, { clock, signal }));
    bindDialogs(form, { signal });
    foldPrompt(form);
    standBelowBar(form, { signal });
    const actions = {
      ...own.actions, submit: late.submit, skip: () => openSkip(form),
      guidelines: () => openDialog("guidelines-panel"), help: () => openDialog("keys-sheet"),
    };
    bindKeys(ownKeys(form), actions, { always: own.always, signal });
    form.querySelector("[data-plain]")?.setAttribute("hidden", "");
    form.classList.add("work--live");
  }

  function takeInHand(form, own, { clock, signal }) {
    const fill = (said) => { own.fill(said); clock.atLeast(said.active_seconds); };
    const draft = keepDraft(form, { read: () => ({ ...own.read(), active_seconds: clock.seconds() }), fill, signal });
    const ahead = fetchAhead(form, { kinds, signal });
    keepLease(form, { clock, ahead, signal });
    bindBanner(form, { signal });
    showToday(form);
    const { submit } = bindSending(form, { read: own.read, fill, check: own.check, draft, ahead, clock, start, signal });
    return { submit, changed: draft.changed };
  }

  window.addEventListener("popstate", () => location.reload());
  start();
}
