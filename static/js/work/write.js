// Writing an answer: preview as it will read.

import { send } from "./api.js";
import { openSheets } from "./sheet.js";

openSheets("write", ["demonstrate"], (form, { signal }) => {
  const { text, note } = form.elements;
  const read = () => ({ text: text.value, note: note.value });
  const fill = (said) => {
    text.value = said.text ?? "";
    note.value = said.note ?? "";
    text.dispatchEvent(new CustomEvent("podium:filled"));
  };
  const check = () => (text.value.trim() ? null : "Write an answer first.");
  livePreview(form, text, signal);
  text.focus({ preventScroll: true });
  return { read, fill, check };
});

/* The preview stays open and follows the text, once asked for. */
function livePreview(form, text, signal) {
  const panel = form.querySelector("[data-preview]");
  const count = form.querySelector("[data-count]");
  let timer;
  let newest = 0;
  const draw = async () => {
    if (panel.hidden) return;
    const mine = ++newest;
    const answer = await send(form, form.dataset.apiPreview, { text: text.value }).catch(() => null);
    if (answer && mine === newest) panel.querySelector("[data-preview-body]").innerHTML = answer.html; // the server's cleaned HTML
  };
  const tell = () => {
    const num = text.value.trim() ? text.value.trim().split(/\s+/).length : 0;
    count.textContent = `${num} word${num === 1 ? "" : "s"}`;
  };
  const button = form.querySelector("[data-preview-button]");
  const name = () => { button.textContent = panel.hidden ? "Preview" : "Hide preview"; };
  button.addEventListener("click", (event) => {
    event.preventDefault();
    panel.hidden = !panel.hidden;
    name();
    draw();
  }, { signal });
  name();
  text.addEventListener("input", () => { tell(); clearTimeout(timer); timer = setTimeout(draw, 400); }, { signal });
  text.addEventListener("podium:filled", () => { tell(); draw(); }, { signal });
  tell();
}
