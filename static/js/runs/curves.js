// Live curves: one chart per metric (a valid_ one joins its own), two a row. The pointer reads all charts at its step.

import uPlot from "../../vendor/uplot/uPlot.esm.js";

const POLL_MS = 2000;
const HEIGHT = 200;
// What a person looks at first, in this order; the overview shows these alone.
const MAIN = ["loss", "accuracy", "reward", "kl", "score", "entropy", "responses", "errors"];
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const chartOf = (name) => name.replace("/valid_", "/");
const format = (value) => (value == null ? "–" : Math.abs(value) >= 1e4 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(4)));

const isMain = (key) => !key.startsWith("perf/") && MAIN.includes(key.split("/").at(-1));
const place = (key) => (isMain(key) ? MAIN.indexOf(key.split("/").at(-1)) : key.startsWith("perf/") ? 200 : 100);
const inOrder = (a, b) => place(a) - place(b) || a.localeCompare(b);
const lastOf = (values) => values.findLast((value) => value != null); // without a pointer the legend says where it stands

class Curves {
  constructor(element) {
    this.element = element;
    this.charts = new Map();
    this.reset();
    new ResizeObserver(() => this.resize()).observe(element);
    document.addEventListener("podium:theme", () => this.redraw());
    this.poll();
  }

  reset() {
    this.after = 0;
    this.rows = [];
    this.redraw();
  }

  redraw() {
    for (const chart of this.charts.values()) chart.plot.destroy();
    this.charts.clear();
    this.element.replaceChildren();
    if (this.rows.length) this.draw();
  }

  async poll() {
    let wait = POLL_MS;
    try {
      const answer = await fetch(`${this.element.dataset.url}?after=${this.after}`);
      if (answer.ok) wait = this.take(await answer.json());
    } catch { /* the network is away for a moment: ask again */ }
    if (wait !== null) setTimeout(() => this.poll(), wait);
  }

  /* Milliseconds until the next question, or null when nothing more will come. */
  take({ fence, is_live: isLive, rows, more }) {
    if (this.fence !== undefined && fence !== this.fence) {
      this.fence = fence; // a resumed stage does its last steps again, so what is here may not hold
      this.reset();
      return 0;
    }
    this.fence = fence;
    if (rows.length) {
      this.rows.push(...rows);
      this.after = rows.at(-1).id;
      this.draw();
    }
    if (more) return 0;
    return isLive ? POLL_MS : null;
  }

  draw() {
    document.querySelector("[data-curves-empty]")?.remove();
    const groups = new Map();
    for (const row of this.rows) {
      for (const name of Object.keys(row.values)) {
        const key = chartOf(name);
        if ("main" in this.element.dataset && !isMain(key)) continue;
        if (!groups.has(key)) groups.set(key, new Set());
        groups.get(key).add(name);
      }
    }
    for (const key of [...groups.keys()].sort(inOrder)) this.drawChart(key, [...groups.get(key)].sort());
  }

  drawChart(key, names) {
    const rows = this.rows.filter((row) => names.some((name) => name in row.values));
    const data = [rows.map((row) => row.step), ...names.map((name) => rows.map((row) => row.values[name] ?? null))];
    const chart = this.charts.get(key);
    if (chart && chart.names.length === names.length) {
      chart.plot.setData(data);
      return;
    }
    chart?.plot.destroy();
    this.charts.set(key, this.make(key, names, data, chart?.box));
  }

  make(key, names, data, box = document.createElement("section")) {
    const title = document.createElement("h3");
    title.textContent = key;
    box.className = "curve";
    box.replaceChildren(title);
    if (!box.parentNode) this.element.append(box);
    const colours = names.map((_, index) => style(`--chart-${(index % 6) + 1}`));
    const axis = { stroke: style("--text-2"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
    const series = names.map((name, index) => ({
      label: name.split("/").at(-1), stroke: colours[index], width: 1.5, spanGaps: true,
      points: { show: data[index + 1].filter((value) => value !== null).length < 30, size: 5, fill: colours[index] },
      value: (plot, value, number) => format(value ?? lastOf(plot.data[number])),
    }));
    const options = {
      width: this.widthOf(box), height: HEIGHT, scales: { x: { time: false } },
      cursor: { sync: { key: "steps", scales: ["x", null] }, drag: { x: true, y: false } },
      axes: [{ ...axis, space: 60, size: 28 }, { ...axis, size: 60, values: (_, ticks) => ticks.map(format) }],
      series: [{ label: "step", value: (plot, value) => (value ?? plot.data[0].at(-1)).toLocaleString() }, ...series],
    };
    return { box, names, plot: new uPlot(options, data, box) };
  }

  widthOf(box) {
    return Math.max(200, box.clientWidth - 24);
  }

  resize() {
    for (const { box, plot } of this.charts.values()) {
      const width = this.widthOf(box);
      if (width !== plot.width) plot.setSize({ width, height: HEIGHT });
    }
  }
}

for (const element of document.querySelectorAll("[data-curves]")) new Curves(element);
