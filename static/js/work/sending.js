// Submits, skips, and goes on to the next task. The same key is sent however often; errors keep the work on the page.

import { send } from "./api.js";
import { announce } from "./announce.js";
import { deliver, isFinal, keep, keepSending } from "./outbox.js";

export function bindSending(form, { read, check, draft, ahead, clock, start, signal }) {
  const submitButton = form.querySelector("[data-submit]");
  let isBusy = false;
  let atHand = null; // the key of the answer that this page itself is sending
  let stuck = null; // the key of the answer that keeps this page from going on
  const outbox = keepSending(form, {
    signal,
    except: () => atHand,
    onSent: (key) => { if (key === stuck) goOn(); },
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

  async function submit() {
    if (isBusy) return;
    const missing = check();
    if (missing) { announce(form, missing); show({ missing }); return; }
    show({});
    busy(true);
    await draft.stop();
    const body = { ...read(), ...circumstances() };
    const entry = { key: body.idempotency_key, labeler: form.dataset.labeler, url: form.dataset.apiSubmit, page: location.pathname, body };
    atHand = entry.key;
    await keep(entry);
    try {
      const taken = await deliver(form, entry);
      announce(form, taken.is_surplus ? "Sent, and kept as an extra." : "Sent.");
      await goOn();
    } catch (error) {
      atHand = null;
      if (isFinal(error)) refused(error);
      else await later(error, entry);
    }
  }

  function refused(error) {
    busy(false);
    draft.resume();
    show(Object.keys(error.errors ?? {}).length ? error.errors : { detail: error.message });
    announce(form, `Not sent. ${error.message}`);
  }

  /* The answer is safe in the outbox: go on if the next page is here already, else wait on this one. */
  async function later(error, entry) {
    if (error.status !== 403 && ahead.hasPage()) { await goOn(); return; }
    stuck = entry.key;
    const why = error.status === 403 ? error.message : "The server does not answer. Your work is kept here and sent as soon as it does.";
    show({ why });
    announce(form, why);
    await outbox.tell();
  }

  function circumstances() {
    return {
      idempotency_key: form.elements.idempotency_key.value,
      guideline_version: Number(form.elements.guideline_version.value) || null,
      active_seconds: clock.seconds(),
      client_time: new Date().toISOString(),
    };
  }

  async function skip() {
    if (isBusy) return;
    busy(true);
    await draft.stop();
    try {
      await send(form, form.dataset.apiSkip, { reason: form.elements.skip_reason.value, note: form.elements.skip_note.value });
      await goOn();
    } catch (error) {
      busy(false);
      draft.resume();
      show({ skip: error.status === undefined ? "The server does not answer." : error.message }, "Not skipped.");
    }
  }

  /* The page fetched ahead takes this one's place; otherwise the browser loads the next. */
  async function goOn() {
    const next = ahead.take();
    if (next?.page && swap(next)) return;
    if (next) { location.assign(next.url); return; }
    const plain = document.createElement("form");
    plain.method = "post";
    plain.action = form.dataset.nextPage;
    plain.hidden = true;
    for (const [name, value] of [["csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value], ["kind", form.dataset.work === "write" ? "write" : "rank"]]) {
      plain.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    document.body.append(plain);
    plain.submit();
  }

  function swap(next) {
    const page = new DOMParser().parseFromString(next.page, "text/html");
    const main = page.querySelector("main");
    if (!main?.querySelector(`form[data-work="${form.dataset.work}"]`)) return false;
    history.pushState(null, "", next.url);
    document.title = page.title;
    document.querySelector("main").replaceWith(document.adoptNode(main));
    document.querySelector(".toasts")?.remove(); // told once, on the task before
    scrollTo({ top: 0, behavior: "instant" });
    start();
    return true;
  }

  form.addEventListener("submit", (event) => {
    const action = event.submitter?.value ?? "submit";
    if (action === "submit") { event.preventDefault(); submit(); }
    else if (action === "skip") { event.preventDefault(); skip(); }
    else if (action === "draft") { event.preventDefault(); draft.changed(); } // Enter in a field: harmless
  }, { signal });

  return { submit, isBusy: () => isBusy };
}
