// Answers on their way. Each is written to the browser's own database before it is sent and leaves it only when the
// server has taken it (or said for good that it will not), so neither a lost connection nor a closed tab loses one.

import { send } from "./api.js";

const RETRY = 4000;
const STORE = "answers";

let opened;
const inMemory = new Map(); // where the browser forbids a database: still safe against a lost connection

function database() {
  opened ??= new Promise((resolve) => {
    const request = indexedDB.open("podium-outbox", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
  }).catch(() => null);
  return opened;
}

async function inStore(mode, work) {
  const store = (await database())?.transaction(STORE, mode).objectStore(STORE);
  if (!store) return undefined;
  return new Promise((resolve, reject) => {
    const request = work(store);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/* entry: {key, labeler, url, page, body}. Waits until it is written. */
export async function keep(entry) {
  inMemory.set(entry.key, entry);
  await inStore("readwrite", (store) => store.put(entry));
}

async function drop(key) {
  inMemory.delete(key);
  await inStore("readwrite", (store) => store.delete(key));
}

/* Only this person's: another one may use the same browser. */
async function waiting(labeler) {
  const kept = (await inStore("readonly", (store) => store.getAll())) ?? [...inMemory.values()];
  return kept.filter((entry) => entry.labeler === labeler);
}

/* Sends one. Throws what `send` throws; an answer that will never be taken leaves the outbox too. */
export async function deliver(form, entry) {
  try {
    const taken = await send(form, entry.url, entry.body);
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

/* Keeps sending what waits, and says so in [data-outbox]. `onSent(key)` hears of each that went. */
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
    const refused = [];
    for (const entry of await waiting(labeler)) {
      if (entry.key === except()) continue;
      try {
        await deliver(form, entry);
        onSent(entry.key);
      } catch (error) {
        if (!isFinal(error)) break;
        refused.push(`${entry.page}: ${error.message}`);
      }
    }
    isBusy = false;
    if (signal.aborted) return;
    await tell();
    if (refused.length) { place.hidden = false; place.textContent = `The server did not take an earlier answer. ${refused.join(" ")}`; }
  }

  const timer = setInterval(run, RETRY);
  window.addEventListener("online", run, { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
  run();
  return { run, tell };
}
