// One key map for the page, one guard for typing in fields.

const isTyping = (target) => target.closest?.("textarea, select, input:not([type=checkbox], [type=radio])");
const hasOwnUse = (target) => target.closest?.("button, a, summary, input, label");

/* `actions`: key → function. Keys that a focused control needs itself are left to it. */
export function bindKeys(actions, { signal }) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const name = nameOf(event);
    if (name !== "Ctrl+Enter" && (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey)) return;
    if (["Enter", "Space", "ArrowUp", "ArrowDown"].includes(name) && hasOwnUse(event.target)) return;
    if (event.repeat && !name.startsWith("Arrow")) return;
    const action = actions[name] ?? (/^[1-9]$/.test(name) ? actions.digit : null);
    if (!action) return;
    event.preventDefault();
    action(Number(name) || 0, event);
  }, { signal });
}

function nameOf(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return "Ctrl+Enter";
  if (event.key === " ") return "Space";
  if (event.shiftKey && event.key.startsWith("Arrow")) return `Shift+${event.key}`;
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}
