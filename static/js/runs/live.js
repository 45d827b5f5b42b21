// What an open page shows of a run, by one question for all of it: curves, use of the machine, log, head. Asked while the
// run lives and the page is in sight.

const POLL_MS = 1000; // with the worker's tick of a second, a number is on the page within three, on a busy machine too
const feeds = new Map(); // address → Feed

/* From now on `part.after()` says behind which row to go on, and `part.take(found, { fence, is_live })` gets what came; it
   returns whether to ask again at once. One part of a name for each run. */
export function follow(url, name, part) {
  if (!feeds.has(url)) feeds.set(url, new Feed(url));
  feeds.get(url).parts.set(name, part);
}

class Feed {
  constructor(url) {
    Object.assign(this, { url, parts: new Map() });
    if (document.readyState === "complete") setTimeout(() => this.poll());
    else addEventListener("load", () => this.poll(), { once: true }); // when all modules have named their parts
  }

  async poll() {
    let wait = POLL_MS;
    try {
      const asked = new URLSearchParams([...this.parts].map(([name, part]) => [name, part.after()]));
      const answer = await fetch(`${this.url}?${asked}`);
      if (answer.ok) wait = this.take(await answer.json());
    } catch { /* the network is away for a moment: ask again */ }
    if (wait === null) return;
    setTimeout(() => inSight().then(() => this.poll()), wait);
  }

  /* Milliseconds until the next question, or null when nothing more will come. */
  take(answer) {
    const more = [...this.parts].filter(([name]) => name in answer).map(([name, part]) => part.take(answer[name], answer));
    if (more.includes(true)) return 0;
    return answer.is_live ? POLL_MS : null;
  }
}

function inSight() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}
