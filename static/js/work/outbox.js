// What is on its way to the server: answers and skips. Each is written to the browser's own database before it is sent
// and leaves it only when the server has taken it (or said for good that it will not), so neither a lost connection nor
// a closed tab loses one.

import { send } from "./api.js";
import { putBack } from "./drafts.js";
import { inStore } from "./store.js";

const RETRY = 4000;
const inMemory = new Map(); // where the browser forbids a database: still safe against a lost connection

/* entry: {key, labeler, task, url, page, body, version}, the last for the draft that it would be again. Waits until it is written. */
export async function keep(given) {
  const entry = { ...given, keptAt: Date.now() };
  inMemory.set(entry.key, entry);
  await inStore("answers", "readwrite", (store) => store.put(entry));
}

async function drop(key) {
  inMemory.delete(key);
  await inStore("answers", "readwrite", (store) => store.delete(key));
}

/* Only this person's: another one may use the same browser. */
async function waiting(labeler) {
  const kept = (await inStore("answers", "readonly", (store) => store.getAll())) ?? [...inMemory.values()];
  return kept.filter((entry) => entry.labeler === labeler).sort((a, b) => a.keptAt - b.keptAt);
}

export async function tasksOnTheirWay(labeler) {
  return (await waiting(labeler)).map((entry) => entry.task).filter(Boolean);
}

export async function onItsWay(labeler, task) {
  return (await waiting(labeler)).find((entry) => entry.task === task) ?? null;
}

/* Sends one. Throws what `send` throws; an answer that will never be taken leaves the outbox too. `besides`: asked with it. */
export async function deliver(form, entry, besides = {}) {
  try {
    const taken = await send(form, entry.url, { ...entry.body, ...besides });
    await drop(entry.key);
    return taken;
  } catch (error) {
    if (isFinal(error)) await drop(entry.key);
    throw error;
  }
}

/* No connection, a busy server or a log-in page: worth another try. */
export function isFinal(error) {
  return [400, 404, 409, 413, 422].includes(error.status);
}

/* Keeps sending what waits, and says so in [data-outbox]. `onSent(keys)` hears what went, when all that can go has gone. */
export function keepSending(form, { signal, onSent = () => {}, except = () => null }) {
  const place = form.querySelector("[data-outbox]");
  const { labeler } = form.dataset;
  let isBusy = false;

  async function tell() {
    const num = (await waiting(labeler)).filter((entry) => entry.key !== except()).length;
    place.hidden = num === 0;
    place.textContent = num === 1 ? "1 answer waits here for the connection." : `${num} answers wait here for the connection.`;
  }

  async function run() {
    if (isBusy || signal.aborted) return;
    isBusy = true;
    const [sent, refused] = [[], []];
    for (const entry of await waiting(labeler)) {
      if (entry.key === except()) continue;
      try {
        await deliver(form, entry);
        sent.push(entry.key);
      } catch (error) {
        if (!isFinal(error)) break;
        if (error.status === 422) await putBack(entry); // it stands there again when the task is opened
        refused.push(`${entry.page}: ${error.message}`);
      }
    }
    isBusy = false;
    if (signal.aborted) return;
    await tell();
    onSent(sent);
    if (refused.length) { place.hidden = false; place.textContent = `The server did not take an earlier answer. ${refused.join(" ")}`; }
  }

  const timer = setInterval(run, RETRY);
  window.addEventListener("online", run, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
  run();
  return { run, tell };
}
