// The numbers of one run, followed while it lives. Kept by metric, in the order logged.

import { follow } from "./live.js";

export class Source {
  /* `changed` is called after each answer that brought something. `part`: "metrics", or "usage" of the machine. */
  constructor({ name, url, part, changed }) {
    Object.assign(this, { name, changed });
    this.reset();
    follow(url, part, this);
  }

  reset() {
    this.last = 0;
    this.metrics = new Map(); // name → { step, time, values }, arrays of one length
    this.startedAt = undefined;
  }

  after() {
    return this.last;
  }

  take({ rows, more }, { fence }) {
    const isAnew = this.fence !== undefined && fence !== this.fence;
    this.fence = fence;
    if (isAnew) { // a resumed stage does its last steps again, so what is here may not hold
      this.reset();
      this.changed({ anew: true });
      return true;
    }
    if (rows.length) {
      for (const row of rows) this.keep(row);
      this.last = rows.at(-1).id;
      this.changed({ anew: false });
    }
    return more;
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
