// The numbers of one run, asked for while it lives and its page is in sight. Kept by metric, in the order logged.

const POLL_MS = 1500; // with the worker's tick of a second, a number is on the page within three

export class Source {
  /* `changed` is called after each answer that brought something. */
  constructor({ name, url, changed }) {
    Object.assign(this, { name, url, changed });
    this.reset();
    this.poll();
  }

  reset() {
    this.after = 0;
    this.metrics = new Map(); // name → { step, time, values }, arrays of one length
    this.startedAt = undefined;
  }

  async poll() {
    let wait = POLL_MS;
    try {
      const answer = await fetch(`${this.url}?after=${this.after}`);
      if (answer.ok) wait = this.take(await answer.json());
    } catch { /* the network is away for a moment: ask again */ }
    if (wait === null) return;
    setTimeout(() => inSight().then(() => this.poll()), wait);
  }

  /* Milliseconds until the next question, or null when nothing more will come. */
  take({ fence, is_live: isLive, rows, more }) {
    const isAnew = this.fence !== undefined && fence !== this.fence;
    this.fence = fence;
    if (isAnew) { // a resumed stage does its last steps again, so what is here may not hold
      this.reset();
      this.changed({ anew: true });
      return 0;
    }
    if (rows.length) {
      for (const row of rows) this.keep(row);
      this.after = rows.at(-1).id;
      this.changed({ anew: false });
    }
    if (more) return 0;
    return isLive ? POLL_MS : null;
  }

  keep({ step, time, values }) {
    this.startedAt ??= time;
    for (const [name, value] of Object.entries(values)) {
      let kept = this.metrics.get(name);
      if (!kept) this.metrics.set(name, kept = { step: [], time: [], values: [] });
      kept.step.push(step);
      kept.time.push((time - this.startedAt) / 60);
      kept.values.push(value);
    }
  }
}

function inSight() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}
