// The page of one's own keys: a press is written into the field, so that nobody has to know what a key is called.

import { nameOf } from "./keys.js";

const LEAVE_ALONE = ["Tab", "Escape", "Enter", "ArrowUp", "ArrowDown", "Shift", "Control", "Alt", "Meta", "Dead", "Unidentified"];

document.querySelector("[data-with-scripts]").hidden = false;
document.querySelector("[data-keys-form]").addEventListener("keydown", (event) => {
  if (!event.target.matches("[data-key]") || event.isComposing) return;
  const name = nameOf(event);
  if (LEAVE_ALONE.includes(name) || (name !== "Ctrl+Enter" && (event.ctrlKey || event.metaKey || event.altKey))) return;
  event.preventDefault();
  event.target.value = name;
  event.target.select();
});
