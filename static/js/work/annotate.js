// Labels of a prompt: a key ticks each, 0 (and the key for "none") says that none holds.

import { announce } from "./announce.js";
import { openSheets } from "./sheet.js";

openSheets("annotate", ["annotate"], (form, { signal, changed }) => {
  const none = form.elements.is_none;
  const boxes = [...form.querySelectorAll("input[name=labels]")];
  const read = () => ({ labels: boxes.filter((box) => box.checked).map((box) => box.value), is_none: none.checked, note: form.elements.note.value });
  const fill = (said) => {
    for (const box of boxes) box.checked = (said.labels ?? []).includes(box.value);
    none.checked = Boolean(said.is_none);
    form.elements.note.value = said.note ?? "";
  };
  const check = () => (none.checked || boxes.some((box) => box.checked) ? null : "Tick what holds, or say that none of these does.");

  form.addEventListener("change", (event) => {
    if (event.target === none && none.checked) for (const box of boxes) box.checked = false;
    if (event.target.name === "labels" && event.target.checked) none.checked = false;
  }, { signal });

  function toggle(box) {
    box.checked = !box.checked;
    box.dispatchEvent(new Event("change", { bubbles: true }));
    announce(form, `${box.parentElement.querySelector(".label-text").textContent}: ${box.checked ? "yes" : "no"}.`);
    changed();
  }
  const boxOf = new Map([...boxes, none].filter((box) => box.dataset.key).map((box) => [box.dataset.key, box]));
  const always = Object.fromEntries([...boxOf.keys()].map((key) => [key, `label ${key}`]));
  const actions = Object.fromEntries([...boxOf].map(([key, box]) => [`label ${key}`, () => toggle(box)]));
  const digit = (number) => boxOf.has(String(number)) && toggle(boxOf.get(String(number)));
  return { read, fill, check, always, actions: { ...actions, digit, none: () => toggle(none) } };
});
