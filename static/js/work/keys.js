// One handler for the page's keys, one guard for typing in fields. Which key does what is the labeler's own choice; the
// map comes with the page (labeling/services/keys.py), and the hints on buttons are written from the same.

const isTyping = (target) => target.closest?.("textarea, select, input:not([type=checkbox], [type=radio])");
const hasOwnUse = (target) => target.closest?.("button, a, summary, input, label");
/* {action: key} of this page. */
export function ownKeys(form) {
  return JSON.parse(form.querySelector("[data-own-keys] script").textContent);
}

/* `actions`: action → function; `digit` gets the digit. `always`: key → action, beside the chosen ones, whatever those
   are. Keys that a focused control needs itself are left to it. */
export function bindKeys(keys, actions, { always = {}, signal }) {
  const actionOf = { ...always, ...Object.fromEntries(Object.entries(keys).map(([action, key]) => [key, action])) };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const name = nameOf(event);
    const goesAnywhere = name === "Ctrl+Enter" || /^F\d+$/.test(name); // no field has a use for them
    if (!goesAnywhere && (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey)) return;
    if (["Enter", "Space", "ArrowUp", "ArrowDown"].includes(name) && hasOwnUse(event.target)) return;
    if (event.repeat && !name.startsWith("Arrow")) return;
    const action = /^[1-9]$/.test(name) ? actions.digit : actions[actionOf[name]];
    if (!action) return;
    event.preventDefault();
    action(Number(name) || 0, event);
  }, { signal });
}

export function nameOf(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return "Ctrl+Enter";
  if (event.key === " ") return "Space";
  if (event.shiftKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) return `Shift+${event.key}`;
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}
