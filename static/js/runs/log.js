// The log's end comes in while the run lives, line by line with numbers; the view follows it unless the reader has scrolled up.

const POLL_MS = 1500;
const MOST_LINES = 10_000;

function follow(element) {
  let after = Number(element.dataset.after);
  const isAtEnd = () => element.scrollHeight - element.scrollTop - element.clientHeight < 40;
  const toEnd = () => { element.scrollTop = element.scrollHeight; };
  toEnd();

  async function poll() {
    let isLive = true;
    try {
      const answer = await fetch(`${element.dataset.url}?after=${after}`);
      if (answer.ok) isLive = take(await answer.json());
    } catch { /* the network is away for a moment: ask again */ }
    if (isLive) setTimeout(poll, POLL_MS);
  }

  function take({ pieces, is_live: isLive, more }) {
    const follows = isAtEnd();
    for (const piece of pieces) {
      append(piece);
      after = piece.id;
    }
    while (element.childElementCount > MOST_LINES) element.firstElementChild.remove();
    if (pieces.length && follows) toEnd();
    return isLive || more;
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

  if ("live" in element.dataset) poll();
}

function made(number, text) {
  const line = document.createElement("span");
  line.className = "log-line";
  line.dataset.line = number;
  line.textContent = text;
  return line;
}

for (const element of document.querySelectorAll("[data-log]")) follow(element);
