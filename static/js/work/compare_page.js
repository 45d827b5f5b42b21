// Two responses side by side: one key answers, Enter sends.

import { announce } from "./announce.js";
import { markDifferences } from "./differences.js";
import { openSheets } from "./sheet.js";

const LETTERS = ["A", "B"];
const RANKS = { left: { A: 1, B: 2 }, tie: { A: 1, B: 1 }, right: { A: 2, B: 1 }, both_bad: {} };
const WORDS = { left: "Left is better.", tie: "A tie.", right: "Right is better.", both_bad: "Both are bad." };

openSheets("compare", ["compare"], (form, { signal, submit, changed }) => {
  const verdict = () => form.querySelector("input[name=verdict]:checked")?.value ?? "";
  const byLetter = (value) => Object.fromEntries(LETTERS.map((letter) => [letter, value(letter)]).filter(([, said]) => said !== null));

  const read = () => ({
    outcome: verdict() === "both_bad" ? "none_acceptable" : "ranked",
    ranks: RANKS[verdict()] ?? {},
    flags: byLetter((letter) => {
      const ticked = [...form.querySelectorAll(`input[name="flags_${letter}"]:checked`)].map((box) => box.value);
      return ticked.length ? ticked : null;
    }),
    notes: byLetter((letter) => form.elements[`note_${letter}`].value || null),
    note: form.elements.note.value,
  });

  function fill(said) {
    const given = Object.keys(said.ranks ?? {}).length ? said.ranks : null;
    const found = Object.entries(RANKS).find(([, ranks]) => given && ranks.A === given.A && ranks.B === given.B)?.[0];
    choose(found ?? (said.outcome === "none_acceptable" ? "both_bad" : ""), { aloud: false });
    for (const letter of LETTERS) {
      for (const box of form.querySelectorAll(`input[name="flags_${letter}"]`)) box.checked = (said.flags?.[letter] ?? []).includes(box.value);
      form.elements[`note_${letter}`].value = said.notes?.[letter] ?? "";
    }
    form.elements.note.value = said.note ?? "";
    show();
  }

  function choose(value, { aloud = true } = {}) {
    for (const radio of form.querySelectorAll("input[name=verdict]")) radio.checked = radio.value === value;
    show();
    if (aloud) { announce(form, WORDS[value]); changed(); }
  }

  /* The better side is marked; flags are counted. */
  function show() {
    const ranks = RANKS[verdict()] ?? {};
    for (const letter of LETTERS) {
      const side = form.querySelector(`[data-side="${letter}"]`);
      side.classList.toggle("is-better", ranks[letter] === 1 && verdict() !== "tie");
      const num = form.querySelectorAll(`input[name="flags_${letter}"]:checked`).length;
      const badge = side.querySelector("[data-num-flags]");
      badge.hidden = !num;
      badge.textContent = num;
    }
  }

  function flag() {
    const remarks = form.querySelector("[data-remarks]:not([open])") ?? form.querySelector("[data-remarks]");
    remarks.open = true;
    remarks.querySelector("input, textarea")?.focus();
  }

  form.addEventListener("change", show, { signal });
  bindMarks(form, signal);
  show();
  const check = () => (verdict() ? null : "Say which is better, that they tie, or that both are bad.");
  const bySide = { 1: "left", 2: "right" };
  const actions = {
    left: () => choose("left"), right: () => choose("right"), digit: (digit) => bySide[digit] && choose(bySide[digit]),
    tie: () => choose("tie"), none: () => choose("both_bad"), flags: flag, enter: submit,
    compare: () => form.querySelector("[data-mark]").click(),
  };
  return { read, fill, check, always: { Enter: "enter" }, actions };
});

function bindMarks(form, signal) {
  const box = form.querySelector("[data-mark]");
  const bodies = [...form.querySelectorAll("[data-side-body]")];
  const plain = bodies.map((body) => body.innerHTML); // the server's cleaned HTML, to go back to
  form.querySelector("[data-mark-tools]").hidden = false;
  box.addEventListener("change", () => {
    bodies.forEach((body, side) => { body.innerHTML = plain[side]; });
    form.querySelector("[data-mark-note]").textContent = box.checked ? markDifferences(...bodies) : "";
  }, { signal });
}
