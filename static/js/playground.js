// The playground's behaviour: Ctrl+Enter sends, the page follows a growing answer, and says when it is there.
// The page itself asks for what is new (htmx), and works without any of this, by plain forms and reloads.

const NEAR = 120; // pixels from the end within which the reader follows it
const composer = document.querySelector("[data-composer]");
const announce = document.querySelector("[data-announce]");
const open = () => new Set([...document.querySelectorAll(".talk-turn[data-open]")].map((turn) => turn.id));
let before = open();
let follows = true;

function show() {
  composer.querySelector("button.button--primary").disabled = open().size > 0;
}

composer.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  if (!open().size) composer.requestSubmit();
});

document.addEventListener("htmx:beforeSwap", () => {
  const page = document.documentElement;
  follows = page.scrollHeight - page.scrollTop - page.clientHeight < NEAR;
});
document.addEventListener("htmx:afterSettle", () => {
  const now = open();
  for (const id of before) {
    if (!now.has(id)) announce.textContent = document.getElementById(id)?.dataset.told ?? "";
  }
  if (follows && (before.size || now.size)) window.scrollTo({ top: document.documentElement.scrollHeight });
  before = now;
  show();
});
show();

/* At the end of the conversation, ready to write; but a link to a turn leads to that turn. */
if (!location.hash.startsWith("#turn-")) {
  window.scrollTo({ top: document.documentElement.scrollHeight });
  composer.querySelector("textarea").focus({ preventScroll: true });
}
