// Groups of live charts, two a row: a chart per metric (a valid_ one joins its own), a line per run. The pointer reads all
// charts of a group at its step, a drag zooms them all, and controls smooth them, make the scale logarithmic, find some.

import { Chart } from "./chart.js";
import { Source } from "./source.js";

// What a person looks at first, in this order; the overview shows these alone.
const MAIN = ["loss", "accuracy", "chosen_accuracy", "control_accuracy", "reward", "kl", "score", "mean", "entropy", "responses", "errors"];
const KEPT = "podium:curves";
const chartOf = (metric) => metric.replace("/valid_", "/");
const nounOf = (metric) => metric.split("/").at(-1);
const isMain = (key) => !key.startsWith("perf/") && MAIN.includes(nounOf(key));
const place = (key) => (isMain(key) ? MAIN.indexOf(nounOf(key)) : key.startsWith("perf/") ? 200 : 100);
const inOrder = (a, b) => place(a) - place(b) || a.localeCompare(b);
const plain = { smoothing: 0, log: false, across: "step", find: "" };

class Group {
  constructor(element, number) {
    Object.assign(this, { element, name: `curves-${number}`, zoom: null, charts: new Map(), sources: [], settings: plain });
    for (const { dataset } of element.querySelectorAll("[data-live]")) {
      this.sources.push(new Source({ name: dataset.name, url: dataset.live, part: dataset.part, changed: (how) => this.changed(how) }));
    }
    new ResizeObserver(() => this.resize()).observe(element);
    document.addEventListener("podium:theme", () => this.rebuild());
  }

  get across() {
    return this.element.dataset.across ?? this.settings.across;
  }

  /* Another run was resumed: its curve begins again, and so do all charts. */
  changed({ anew }) {
    if (anew) this.clear();
    this.draw();
  }

  set(settings) {
    if (settings.across !== this.settings.across) this.zoom = null;
    this.settings = settings;
    this.clear();
    this.draw();
  }

  draw() {
    const lines = this.lines();
    this.element.dispatchEvent(new CustomEvent("curves:drawn", { bubbles: true, detail: { num: this.sources.reduce((num, { metrics }) => num + metrics.size, 0) } }));
    for (const key of [...lines.keys()].sort(inOrder)) this.drawChart(key, lines.get(key));
  }

  lines() {
    const found = new Map(); // chart → its lines, each of one run and one metric
    for (const source of this.sources) {
      for (const metric of source.metrics.keys()) {
        const key = chartOf(metric);
        if ("main" in this.element.dataset && !isMain(key)) continue;
        if (this.settings.find && !key.toLowerCase().includes(this.settings.find.toLowerCase())) continue;
        if (!found.has(key)) found.set(key, []);
        found.get(key).push({ source, metric });
      }
    }
    for (const lines of found.values()) lines.sort((a, b) => a.metric.localeCompare(b.metric));
    return found;
  }

  drawChart(key, lines) {
    const chart = this.charts.get(key);
    if (!chart) this.charts.set(key, new Chart(this, key, lines));
    else if (chart.lines.length === lines.length) chart.update();
    else {
      chart.lines = lines;
      chart.build();
    }
  }

  clear() {
    for (const chart of this.charts.values()) chart.destroy();
    this.charts.clear();
  }

  rebuild() {
    for (const chart of this.charts.values()) chart.build();
  }

  /* [from, to], or null for the whole range. */
  zoomTo(range) {
    this.zoom = range;
    for (const chart of this.charts.values()) chart.update();
    this.element.dispatchEvent(new CustomEvent("curves:zoomed", { bubbles: true }));
  }

  resize() {
    for (const chart of this.charts.values()) chart.resize();
  }
}

class Controls {
  constructor(form, groups) {
    Object.assign(this, { form, groups });
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    const { smoothing, log, across } = form.elements;
    smoothing.value = kept.smoothing ?? 0;
    log.checked = kept.log ?? false;
    if (kept.across) across.value = kept.across;
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => this.apply());
    form.elements.whole.addEventListener("click", () => groups.forEach((group) => group.zoomTo(null)));
    document.addEventListener("curves:zoomed", () => { form.elements.whole.hidden = groups.every((group) => !group.zoom); });
    this.apply();
  }

  apply() {
    const { smoothing, log, across, find } = this.form.elements;
    const settings = { smoothing: Number(smoothing.value), log: log.checked, across: across.value, find: find.value.trim() };
    this.form.querySelector("output").value = settings.smoothing.toFixed(2);
    localStorage.setItem(KEPT, JSON.stringify({ ...settings, find: undefined }));
    for (const group of this.groups) group.set(settings);
    this.form.elements.whole.hidden = this.groups.every((group) => !group.zoom);
  }
}

const groups = [...document.querySelectorAll("[data-curves]")].map((element, number) => new Group(element, number));
const form = document.querySelector("[data-curve-controls]");
if (form) new Controls(form, groups.filter((group) => "controlled" in group.element.dataset));
document.addEventListener("curves:drawn", ({ target, detail }) => {
  const empty = document.getElementById(target.dataset.empty);
  if (empty) empty.hidden = detail.num > 0;
});
