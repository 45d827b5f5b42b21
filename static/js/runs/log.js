// The log's end comes in while the run lives; the view follows it unless the reader has scrolled up.

const POLL_MS = 2000;
const LONGEST = 1_000_000;

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
      element.append(piece.text);
      after = piece.id;
    }
    if (element.textContent.length > LONGEST) element.textContent = element.textContent.slice(-LONGEST / 2);
    if (pieces.length && follows) toEnd();
    return isLive || more;
  }

  if ("live" in element.dataset) poll();
}

for (const element of document.querySelectorAll("[data-log]")) follow(element);
