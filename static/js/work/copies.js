// Copies of the pages of tasks that this labeler holds, so that a reload without a network shows the task and work goes
// on with those fetched ahead. They lie in a cache named after the person; the service worker reads them and throws
// everybody else's away (static/js/offline/worker.js).

const PREFIX = "podium-pages-";
const inMemory = new Map(); // where the browser has no caches (plain http), and for a full disk

const open = (labeler) => (globalThis.caches ? caches.open(PREFIX + labeler) : null);

/* Fetches the page and keeps it. False when it was not the task's page, or one made for somebody else. */
export async function fetchCopy(labeler, url) {
  const answer = await fetch(url, { credentials: "same-origin", redirect: "error", cache: "no-store" });
  if (!answer.ok || answer.headers.get("Podium-Person") !== labeler) return false;
  const cache = await open(labeler);
  await cache?.put(url, answer.clone()).catch(() => {});
  inMemory.set(url, await answer.text());
  return true;
}

export async function findCopy(labeler, url) {
  if (inMemory.has(url)) return inMemory.get(url);
  const found = await (await open(labeler))?.match(url, { ignoreVary: true });
  return found ? found.text() : null;
}

export async function dropCopy(labeler, url) {
  inMemory.delete(url);
  await (await open(labeler))?.delete(url, { ignoreVary: true });
}

/* Addresses of all copies, in the order in which they were fetched. */
export async function copiesOf(labeler) {
  const kept = (await (await open(labeler))?.keys()) ?? [];
  return [...new Set([...kept.map((request) => new URL(request.url).pathname), ...inMemory.keys()])];
}

export async function forgetOthers(labeler) {
  for (const name of (await globalThis.caches?.keys()) ?? []) {
    if (name.startsWith(PREFIX) && name !== PREFIX + labeler) await caches.delete(name);
  }
}

export function startWorker(form) {
  if (form.dataset.worker) navigator.serviceWorker?.register(form.dataset.worker).catch(() => {}); // then without
}
