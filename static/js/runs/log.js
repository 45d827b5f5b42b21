// The log's end comes in while the run lives, line by line with numbers; the view follows it unless the reader has scrolled up.

import { follow } from "./live.js";

const MOST_LINES = 10_000;

function goOn(element) {
  let last = Number(element.dataset.after);
  const isAtEnd = () => element.scrollHeight - element.scrollTop - element.clientHeight < 40;
  const toEnd = () => { element.scrollTop = element.scrollHeight; };
  const after = () => last;
  toEnd();

  function take({ rows, more }) {
    const follows = isAtEnd();
    for (const row of rows) {
      append(row);
      last = row.id;
    }
    while (element.childElementCount > MOST_LINES) element.firstElementChild.remove();
    if (rows.length && follows) toEnd();
    return more;
  }

  /* A piece may go on with the line that the one before it began. */
  function append({ first_line: firstLine, text }) {
    const lines = text.split("\n");
    const last = element.lastElementChild;
    if (last && Number(last.dataset.line) === firstLine) last.append(lines.shift() + (lines.length ? "\n" : ""));
    else firstLine -= 1;
    const rest = lines.pop();
    for (const line of lines) element.append(made(++firstLine, `${line}\n`));
    if (rest) element.append(made(++firstLine, rest));
  }

  if ("live" in element.dataset) follow(element.dataset.live, "log", { after, take });
}

function made(number, text) {
  const line = document.createElement("span");
  line.className = "log-line";
  line.dataset.line = number;
  line.textContent = text;
  return line;
}

for (const element of document.querySelectorAll("[data-log]")) goOn(element);
