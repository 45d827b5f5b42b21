// Submits, skips, and goes on to the next task. The same key is sent however often; errors keep the work on the page.

import { announce } from "./announce.js";
import { isUnreachable } from "./api.js";
import { deliver, isFinal, keep, keepSending, onItsWay } from "./outbox.js";
import { countOn } from "./today.js";

const KEPT = "The server does not answer. Your work is kept here and sent as soon as it does.";

export function bindSending(form, { read, fill, check, draft, ahead, clock, start, signal }) {
  const { task, labeler } = form.dataset;
  const submitButton = form.querySelector("[data-submit]");
  let isBusy = false;
  let atHand = null; // the key of the answer that this page itself is sending
  let stuck = null; // the key of the answer that keeps this page from going on
  const outbox = keepSending(form, {
    signal,
    except: () => atHand,
    onSent: (keys) => { if (keys.includes(stuck)) goOn(); },
  });

  function show(errors, lead = "Not sent yet.") {
    const place = form.querySelector("[data-errors]");
    const texts = Object.values(errors);
    if (!texts.length) { place.replaceChildren(); return; }
    const note = document.createElement("div");
    note.className = "note note--failed";
    const strong = document.createElement("strong");
    strong.textContent = lead;
    note.append(strong, ...texts.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
    place.replaceChildren(note);
    note.scrollIntoView({ block: "nearest" });
  }

  function busy(is) {
    isBusy = is;
    submitButton.setAttribute("aria-disabled", String(is));
    form.classList.toggle("is-sending", is);
  }

  function submit() {
    if (isBusy) return;
    const missing = check();
    if (missing) { announce(form, missing); show({ missing }); return; }
    const key = form.elements.idempotency_key.value;
    const body = { ...read(), ...circumstances(key) };
    sendOff({ key, url: form.dataset.apiSubmit, body }, (taken) => (taken.is_surplus ? "Sent, and kept as an extra." : "Sent."));
  }

  function skip() {
    if (isBusy) return;
    const body = { reason: form.elements.skip_reason.value, note: form.elements.skip_note.value };
    sendOff({ key: `skip:${labeler}:${task}`, url: form.dataset.apiSkip, body }, () => "Skipped.");
  }

  /* Into the outbox, then to the server, then on. */
  async function sendOff(what, tell) {
    show({});
    busy(true);
    await draft.stop();
    const entry = { ...what, labeler, task, page: location.pathname, version: Number(form.elements.draft_version.value) + 1 };
    atHand = entry.key;
    await keep(entry);
    await draft.forget();
    try {
      const taken = await deliver(form, entry, what.url === form.dataset.apiSubmit ? { next: await ahead.asks() } : {});
      ahead.handOver(taken.next ?? null);
      announce(form, tell(taken));
      await goOn();
    } catch (error) {
      atHand = null;
      if (isFinal(error)) refused(error);
      else await later(error, entry.key);
    }
  }

  function refused(error) {
    busy(false);
    draft.resume();
    show(Object.keys(error.errors ?? {}).length ? error.errors : { detail: error.message });
    announce(form, `Not sent. ${error.message}`);
  }

  /* The answer is safe in the outbox: go on if the next page is here already, else wait on this one. */
  async function later(error, key) {
    if (error.status !== 403 && (await goOn({ mayLoad: false }))) return;
    wait(key, isUnreachable(error.status) ? KEPT : error.message);
  }

  function wait(key, why) {
    stuck = key;
    busy(true);
    show({ why });
    announce(form, why);
    outbox.tell();
  }

  /* A page that was loaded again while its answer waits: it shows the answer, and goes on as soon as that is sent. */
  async function resumeWaiting() {
    const entry = await onItsWay(labeler, task);
    if (!entry || isBusy || signal.aborted) return;
    if (entry.body.reason === undefined) fill(entry.body);
    await draft.stop();
    wait(entry.key, KEPT);
    outbox.run();
  }

  function circumstances(key) {
    return {
      idempotency_key: key,
      guideline_version: Number(form.elements.guideline_version.value) || null,
      active_seconds: clock.seconds(),
      client_time: new Date().toISOString(),
    };
  }

  /* The page fetched ahead takes this one's place; otherwise the browser loads the next. False: there is none here. */
  async function goOn({ mayLoad = true } = {}) {
    const next = await ahead.take();
    if (!next && !mayLoad) return false;
    await ahead.leave();
    if (next) swap(next);
    else load();
    return true;
  }

  function load() {
    const plain = document.createElement("form");
    plain.method = "post";
    plain.action = form.dataset.nextPage;
    plain.hidden = true;
    for (const [name, value] of [["csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value], ["kind", form.dataset.work]]) {
      plain.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    document.body.append(plain);
    plain.submit();
  }

  function swap({ url, page }) {
    const main = page.querySelector("main");
    history.pushState(countOn(form, main.querySelector("form[data-work]")), "", url);
    document.title = page.title;
    document.querySelector("main").replaceWith(document.adoptNode(main));
    document.querySelector(".toasts")?.remove(); // told once, on the task before
    scrollTo({ top: 0, behavior: "instant" });
    start();
  }

  form.addEventListener("submit", (event) => {
    const action = event.submitter?.value ?? "submit";
    if (action === "submit") { event.preventDefault(); submit(); }
    else if (action === "skip") { event.preventDefault(); skip(); }
    else if (action === "draft") { event.preventDefault(); draft.changed(); } // Enter in a field: harmless
  }, { signal });
  resumeWaiting();

  return { submit, isBusy: () => isBusy };
}
