// Writing a prompt: examples come and go, hints come while one writes.

import { send } from "./api.js";
import { bindPairs, fillPairs, readPairs } from "./pairs.js";
import { openSheets } from "./sheet.js";

const HINTS_AFTER = 1200;

openSheets("write_prompt", ["write_prompt"], (form, { signal, changed }) => {
  const field = (name) => form.elements.namedItem(name);
  const value = (name) => field(name)?.value ?? "";
  const names = ["instruction", "query", "use_case", "language", "note"];
  const read = () => ({ ...Object.fromEntries(names.map((name) => [name, value(name)])), pairs: readPairs(form) });
  const fill = (said) => {
    for (const name of names) if (field(name)) field(name).value = said[name] ?? "";
    fillPairs(form, said.pairs ?? []);
  };
  const check = () => {
    if (!value("instruction").trim()) return form.dataset.style === "few_shot" ? "Write the instruction first." : "Write the prompt first.";
    if (field("use_case") && !value("use_case")) { field("use_case").focus(); return "Choose the use case."; }
    return null;
  };
  bindPairs(form, { signal, onChange: changed });
  bindHints(form, read, signal);
  field("instruction").focus({ preventScroll: true });
  return { read, fill, check };
});

/* Asked for when the typing rests. Without a network there are none. */
function bindHints(form, read, signal) {
  const place = form.querySelector("[data-hints]");
  let timer;
  let newest = 0;
  const ask = async () => {
    const mine = ++newest;
    const { instruction, pairs, query } = read();
    const answer = await send(form, form.dataset.apiHints, { instruction, pairs, query }).catch(() => null);
    if (!answer || mine !== newest || signal.aborted) return;
    place.replaceChildren(...answer.hints.map((text) => Object.assign(document.createElement("p"), { className: "note note--attention", textContent: text })));
  };
  form.addEventListener("input", (event) => {
    if (event.target.name === "note") return;
    clearTimeout(timer);
    timer = setTimeout(ask, HINTS_AFTER);
  }, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
}
