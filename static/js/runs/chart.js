// One chart: a line per run and metric, drawn by uPlot. What it shares with its neighbours (zoom, hover, smoothing) is its group's.

import uPlot from "../../vendor/uplot/uPlot.esm.js";
import { csv, png, save } from "./exports.js";
import { knownAt, positive, smoothed, written } from "./numbers.js";

const HEIGHT = 220;
const FEW = 30; // so few values are drawn as dots, too
const WHOLE = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((one) => one * 10 ** power)).flat(); // between two ticks
const KEYS = { ArrowLeft: -1, ArrowRight: 1 };
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const nounOf = (metric) => metric.split("/").at(-1);

export class Chart {
  constructor(group, key, lines) {
    Object.assign(this, { group, key, lines });
    this.box = document.createElement("section");
    this.box.className = "curve";
    this.box.dataset.key = key;
    this.box.append(this.head());
    group.element.append(this.box);
    this.build();
  }

  head() {
    const head = document.createElement("div");
    head.className = "curve-head";
    const title = document.createElement("h3");
    title.textContent = this.key;
    head.append(title, this.button("CSV", () => this.saveCsv()), this.button("PNG", () => this.savePng()));
    return head;
  }

  button(label, act) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button button--quiet button--small", textContent: label });
    button.setAttribute("aria-label", `Save ${this.key} as ${label}`);
    button.addEventListener("click", act);
    return button;
  }

  /* Anew, because lines came, or the group draws in another way. */
  build() {
    this.plot?.destroy();
    this.note?.remove();
    const data = this.data();
    this.isLog = this.group.settings.log && data.slice(1).some((values) => values.some((value) => value > 0));
    this.plot = new uPlot(this.options(data), this.drawn(data), this.box);
    this.note = this.saysWhatIsMissing(data);
    this.plot.over.tabIndex = 0;
    this.plot.over.setAttribute("role", "group");
    this.plot.over.setAttribute("aria-label", `${this.key}: arrow keys read it, + zooms in, 0 shows all`);
    this.plot.over.addEventListener("keydown", (event) => this.press(event));
  }

  update() {
    this.plot.setData(this.drawn(this.data()));
  }

  destroy() {
    this.plot.destroy();
    this.box.remove();
  }

  /* Steps (or minutes) in common, then each line's values as they were logged. */
  data() {
    const across = this.group.across;
    return uPlot.join(this.lines.map(({ source, metric }) => {
      const { [across]: places, values } = source.metrics.get(metric);
      return [places, values];
    }));
  }

  /* What uPlot gets: with smoothing, each line twice, first as logged and pale. */
  drawn([places, ...logged]) {
    const { smoothing } = this.group.settings;
    const fit = (values) => (this.isLog ? positive(values) : values);
    return [places, ...logged.flatMap((values) => (smoothing ? [fit(values), fit(smoothed(values, smoothing))] : [fit(values)]))];
  }

  options([, ...logged]) {
    const axis = { stroke: style("--text-2"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
    const isBySteps = this.group.across === "step";
    const label = isBySteps ? "step" : "minutes";
    return {
      width: this.width, height: HEIGHT,
      scales: { x: { time: false, range: (_, low, high) => this.group.zoom ?? [low, high] }, y: { distr: this.isLog ? 3 : 1 } },
      cursor: {
        sync: { key: this.group.name, scales: ["x", null], filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        drag: { x: true, y: false, setScale: false },
        dataIdx: (plot, series, place) => (series === 0 ? place : knownAt(plot.data[series], place) ?? place),
        bind: { dblclick: () => () => { this.group.zoomTo(null); } },
      },
      hooks: { setSelect: [(plot) => this.selected(plot)], setSeries: [(plot, place, { show }) => this.showWithPale(plot, place, show)] },
      axes: [{ ...axis, space: 60, size: 28, ...(isBySteps && { incrs: WHOLE }) }, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => (tick == null ? "" : written(tick))) }],
      series: [
        { label, value: (plot, value) => (value ?? plot.data[0].at(-1) ?? 0).toLocaleString("en", { maximumFractionDigits: 2 }) },
        ...this.lines.flatMap((line, place) => this.series(line, place, logged[place])),
      ],
    };
  }

  series(line, place, logged) {
    const colour = this.colourOf(place);
    const { smoothing } = this.group.settings;
    const dots = { show: logged.filter((value) => value != null).length < FEW, size: 5, fill: colour };
    const shared = { stroke: colour, width: 1.5, spanGaps: true, dash: place < 6 ? undefined : [6, 4] };
    // Without a pointer the legend says where the line stands; with smoothing, the value as logged in brackets.
    const read = (plot, value, number, at) => {
      const index = at ?? knownAt(plot.data[number], plot.data[number].length - 1);
      const shown = written(plot.data[number][index]);
      return smoothing ? `${shown} (${written(plot.data[number - 1][index])})` : shown;
    };
    const named = { ...shared, label: this.nameOf(line), points: dots, value: read };
    return smoothing ? [{ ...shared, label: "", class: "u-pale", alpha: 0.28, points: { show: false } }, { ...named, points: { show: false } }] : [named];
  }

  nameOf({ source, metric }) {
    return this.group.sources.length > 1 ? `${source.name} ${nounOf(metric)}` : nounOf(metric);
  }

  colourOf(place) {
    return style(`--chart-${(place % 6) + 1}`);
  }

  /* A line that is switched off in the legend takes its pale copy with it. */
  showWithPale(plot, place, show) {
    if (this.group.settings.smoothing && show != null && place && place % 2 === 0) plot.setSeries(place - 1, { show });
  }

  saysWhatIsMissing([, ...logged]) {
    if (!this.group.settings.log) return undefined;
    const num = logged.flat().filter((value) => value != null && value <= 0).length;
    if (this.isLog && !num) return undefined;
    const note = document.createElement("p");
    note.className = "muted small";
    const lost = num === 1 ? "1 value at or below 0 has" : `${num} values at or below 0 have`;
    note.textContent = this.isLog ? `${lost} no place on a log scale.` : "Nothing above 0, so the scale is linear.";
    this.box.append(note);
    return note;
  }

  selected(plot) {
    const { left, width } = plot.select;
    if (width < 5) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.group.zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { plot } = this;
    const here = plot.cursor.idx ?? plot.data[0].length - 1;
    if (event.key in KEYS) this.readAt(Math.max(0, Math.min(plot.data[0].length - 1, here + KEYS[event.key])));
    else if (event.key === "+") this.zoomAround(plot.data[0][here]);
    else if (event.key === "0") this.group.zoomTo(null);
    else return;
    event.preventDefault();
  }

  readAt(place) {
    this.plot.setCursor({ left: this.plot.valToPos(this.plot.data[0][place], "x"), top: HEIGHT / 2 }, true, true);
  }

  zoomAround(value) {
    const { min, max } = this.plot.scales.x;
    const quarter = (max - min) / 4;
    if (quarter > 0) this.group.zoomTo([value - quarter, value + quarter]);
  }

  get width() {
    return Math.max(200, this.box.clientWidth - 24);
  }

  resize() {
    if (this.width !== this.plot.width) this.plot.setSize({ width: this.width, height: HEIGHT });
  }

  get fileName() {
    return [...(this.group.sources.length > 1 ? [] : [this.group.sources[0].name]), this.key].join("-");
  }

  saveCsv() {
    save(csv([this.group.across === "step" ? "step" : "minutes", ...this.lines.map((line) => this.nameOf(line))], this.data()), `${this.fileName}.csv`);
  }

  async savePng() {
    const lines = this.lines.map((line, place) => ({ name: this.nameOf(line), colour: this.colourOf(place) }));
    const colours = { ground: getComputedStyle(this.box).backgroundColor, text: style("--text"), font: getComputedStyle(this.box).fontFamily };
    save(await png({ plot: this.plot, title: this.key, lines, colours }), `${this.fileName}.png`);
  }
}
