// The metrics of one run, asked for every two seconds while it lives.

const POLL_MS = 2000;

export class Source {
  /* `changed` is called after each answer that brought something. */
  constructor({ name, url, changed }) {
    Object.assign(this, { name, url, changed });
    this.reset();
    this.poll();
  }

  reset() {
    this.after = 0;
    this.rows = [];
  }

  async poll() {
    let wait = POLL_MS;
    try {
      const answer = await fetch(`${this.url}?after=${this.after}`);
      if (answer.ok) wait = this.take(await answer.json());
    } catch { /* the network is away for a moment: ask again */ }
    if (wait !== null) setTimeout(() => this.poll(), wait);
  }

  /* Milliseconds until the next question, or null when nothing more will come. */
  take({ fence, is_live: isLive, rows, more }) {
    if (this.fence !== undefined && fence !== this.fence) {
      this.fence = fence; // a resumed stage does its last steps again, so what is here may not hold
      this.reset();
      this.changed({ anew: true });
      return 0;
    }
    this.fence = fence;
    if (rows.length) {
      this.rows.push(...rows);
      this.after = rows.at(-1).id;
      this.changed({ anew: false });
    }
    if (more) return 0;
    return isLive ? POLL_MS : null;
  }
}
