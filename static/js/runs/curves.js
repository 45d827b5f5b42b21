// Live curves, two a row: a chart per metric (a valid_ one joins its own), a line per run. The pointer reads all charts at its step.

import uPlot from "../../vendor/uplot/uPlot.esm.js";
import { Source } from "./source.js";

const HEIGHT = 200;
// What a person looks at first, in this order; the overview shows these alone.
const MAIN = ["loss", "accuracy", "reward", "kl", "score", "entropy", "responses", "errors"];
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const chartOf = (metric) => metric.replace("/valid_", "/");
const nounOf = (metric) => metric.split("/").at(-1);
const isMain = (key) => !key.startsWith("perf/") && MAIN.includes(nounOf(key));
const place = (key) => (isMain(key) ? MAIN.indexOf(nounOf(key)) : key.startsWith("perf/") ? 200 : 100);
const inOrder = (a, b) => place(a) - place(b) || a.localeCompare(b);
const format = (value) => (value == null ? "–" : Math.abs(value) >= 1e4 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(4)));
const lastOf = (values) => values.findLast((value) => value != null); // without a pointer the legend says where it stands

class Curves {
  constructor(element) {
    this.element = element;
    this.charts = new Map();
    this.sources = [];
    const runs = element.querySelectorAll("[data-metrics]");
    for (const { dataset } of runs) this.sources.push(new Source({ name: dataset.name, url: dataset.metrics, changed: (how) => this.changed(how) }));
    new ResizeObserver(() => this.resize()).observe(element);
    document.addEventListener("podium:theme", () => this.redraw());
  }

  changed({ anew }) {
    if (anew) this.redraw();
    else this.draw();
  }

  redraw() {
    for (const { plot, box } of this.charts.values()) {
      plot.destroy();
      box.remove();
    }
    this.charts.clear();
    this.draw();
  }

  draw() {
    const lines = new Map(); // chart → its lines, each of one run and one metric
    for (const source of this.sources) {
      for (const metric of new Set(source.rows.flatMap((row) => Object.keys(row.values)))) {
        const key = chartOf(metric);
        if ("main" in this.element.dataset && !isMain(key)) continue;
        if (!lines.has(key)) lines.set(key, []);
        lines.get(key).push({ source, metric });
      }
    }
    if (lines.size) document.querySelector("[data-curves-empty]")?.remove();
    for (const key of [...lines.keys()].sort(inOrder)) {
      this.drawChart(key, lines.get(key).sort((a, b) => a.metric.localeCompare(b.metric)));
    }
  }

  drawChart(key, lines) {
    const tables = lines.map(({ source, metric }) => {
      const rows = source.rows.filter((row) => metric in row.values);
      return [rows.map((row) => row.step), rows.map((row) => row.values[metric])];
    });
    const data = uPlot.join(tables);
    const chart = this.charts.get(key);
    if (chart && chart.lines.length === lines.length) {
      chart.plot.setData(data);
      return;
    }
    chart?.plot.destroy();
    this.charts.set(key, this.make(key, lines, data, chart?.box));
  }

  make(key, lines, data, box = document.createElement("section")) {
    const title = document.createElement("h3");
    title.textContent = key;
    box.className = "curve";
    box.replaceChildren(title);
    if (!box.parentNode) this.element.append(box);
    const axis = { stroke: style("--text-2"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
    const options = {
      width: this.widthOf(box), height: HEIGHT, scales: { x: { time: false } },
      cursor: { sync: { key: "steps", scales: ["x", null] }, drag: { x: true, y: false } },
      axes: [{ ...axis, space: 60, size: 28 }, { ...axis, size: 60, values: (_, ticks) => ticks.map(format) }],
      series: [
        { label: "step", value: (plot, value) => (value ?? plot.data[0].at(-1)).toLocaleString() },
        ...lines.map((line, index) => this.line(line, index, data[index + 1])),
      ],
    };
    return { box, lines, plot: new uPlot(options, data, box) };
  }

  line({ source, metric }, index, values) {
    const colour = style(`--chart-${(index % 6) + 1}`);
    return {
      label: this.sources.length > 1 ? `${source.name} ${nounOf(metric)}` : nounOf(metric),
      stroke: colour, width: 1.5, spanGaps: true, dash: index < 6 ? undefined : [6, 4],
      points: { show: values.filter((value) => value != null).length < 30, size: 5, fill: colour },
      value: (plot, value, number) => format(value ?? lastOf(plot.data[number])),
    };
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
