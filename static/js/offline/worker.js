// The service worker: what the browser shows when there is no network. Always the network first; a copy only when it
// does not answer. /sw.js sets PODIUM and loads this.
//
// It keeps the files of the work pages and hands out the copies that those pages have made of tasks in hand
// (static/js/work/copies.js). Each page says for whom it was made; copies of anybody else are thrown away at once.

const { files, version, offline, logout, prefix } = self.PODIUM;
const FILES = `podium-static-${version}`;
const PAGES = "podium-pages-";

self.addEventListener("install", (event) => event.waitUntil(stock()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== location.origin) return;
  if (request.method === "POST" && pathname === logout) event.waitUntil(forgetAllBut(null));
  else if (request.mode === "navigate" && (request.method === "GET" || pathname.endsWith("/work/next/"))) event.respondWith(page(event));
  else if (request.method === "GET" && pathname.startsWith(prefix)) event.respondWith(file(request));
});

async function stock() {
  const cache = await caches.open(FILES);
  await cache.add(new Request(offline, { credentials: "omit", cache: "reload" })); // of nobody
  await Promise.allSettled(files.map((address) => cache.add(address))); // one that is missing is no reason to have none
  await self.skipWaiting();
}

async function takeOver() {
  for (const name of await caches.keys()) if (name.startsWith("podium-static-") && name !== FILES) await caches.delete(name);
  await self.registration.navigationPreload?.enable();
  await self.clients.claim();
}

async function page(event) {
  let answer = null;
  try {
    answer = (await event.preloadResponse) ?? (await fetch(event.request));
  } catch { /* no network: a copy below */ }
  if (answer && (answer.status < 502 || answer.status > 504)) { // a gateway without a server is no answer either
    const person = answer.headers.get("Podium-Person");
    if (person !== null) await forgetAllBut(person);
    return answer;
  }
  return (await copyFor(event.request)) ?? answer ?? (await caches.match(offline)) ?? Response.error();
}

async function copyFor(request) {
  for (const name of (await caches.keys()).filter((one) => one.startsWith(PAGES))) {
    const cache = await caches.open(name);
    if (request.method === "GET") {
      const found = await cache.match(request.url, { ignoreVary: true, ignoreSearch: true });
      if (found) return found;
    } else { // "the next task": the first that is here
      const [first] = await cache.keys();
      if (first) return Response.redirect(first.url, 303);
    }
  }
  return null;
}

async function file(request) {
  try {
    return await fetch(request); // from the browser's own cache where the name is hashed
  } catch (error) {
    const found = await caches.match(request, { cacheName: FILES, ignoreVary: true });
    if (found) return found;
    throw error;
  }
}

async function forgetAllBut(person) {
  for (const name of await caches.keys()) {
    if (!name.startsWith(PAGES) || name === PAGES + person) continue;
    await caches.delete(name);
    await forgetDrafts(name.slice(PAGES.length));
  }
}

/* Drafts that the server has too. What no server has yet waits for its writer (static/js/work/store.js). */
function forgetDrafts(person) {
  return new Promise((resolve) => {
    const opening = indexedDB.open("podium-outbox");
    opening.onerror = () => resolve();
    opening.onsuccess = () => {
      const db = opening.result;
      const done = () => { db.close(); resolve(); };
      if (!db.objectStoreNames.contains("drafts")) { done(); return; }
      const transaction = db.transaction("drafts", "readwrite");
      transaction.oncomplete = done;
      transaction.onabort = done;
      transaction.objectStore("drafts").openCursor().onsuccess = ({ target: { result: cursor } }) => {
        if (!cursor) return;
        if (cursor.value.labeler === person && cursor.value.isSaved) cursor.delete();
        cursor.continue();
      };
    };
  });
}
