// The browser's own database: answers on their way, and drafts. Everything in it says whose it is.

const VERSION = 2;
const STORES = { answers: "key", drafts: "key" };

let opened;

/* The database, or null where the browser forbids one. */
function database() {
  opened ??= new Promise((resolve) => {
    const request = indexedDB.open("podium-outbox", VERSION);
    request.onupgradeneeded = () => {
      for (const [name, keyPath] of Object.entries(STORES)) {
        if (!request.result.objectStoreNames.contains(name)) request.result.createObjectStore(name, { keyPath });
      }
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close(); // a newer page waits for this one
      resolve(request.result);
    };
    request.onerror = () => resolve(null);
  }).catch(() => null);
  return opened;
}

/* `work(store)` makes a request; its result, once it is written for good. Undefined where there is no database. */
export async function inStore(name, mode, work) {
  const db = await database();
  if (!db) return undefined;
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(name, mode);
    const request = work(transaction.objectStore(name));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  });
}
