// Marks the words that only one of two texts has: the longest common run of words stays plain.

const LIMIT = 4_000_000; // cells of the table; beyond it the texts are too long to compare word by word
const ALIKE = 0.5; // share of words in common below which marks would cover everything and tell nothing

/* Returns why nothing was marked, or "". */
export function markDifferences(left, right) {
  const [a, b] = [words(left), words(right)];
  const common = longestCommon(a.map((word) => word.text), b.map((word) => word.text));
  if (!common) return "Too long to mark word by word.";
  if (2 * common[0].size < ALIKE * (a.length + b.length)) return "They share few words, so differences are not marked.";
  wrap(a.filter((_, index) => !common[0].has(index)));
  wrap(b.filter((_, index) => !common[1].has(index)));
  return "";
}

function words(root) {
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest("math")) continue; // MathML cannot hold a mark
    for (const match of node.data.matchAll(/[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu)) {
      found.push({ node, start: match.index, end: match.index + match[0].length, text: match[0] });
    }
  }
  return found;
}

/* Indexes of the common words on both sides, or null when the texts are too long. */
function longestCommon(a, b) {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const [n, m] = [a.length - head - tail, b.length - head - tail];
  if (n * m > LIMIT) return null;
  const width = m + 1;
  const table = new Uint16Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let j = m - 1; j >= 0; j -= 1) {
      table[i * width + j] = a[head + i] === b[head + j]
        ? table[(i + 1) * width + j + 1] + 1
        : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const [inA, inB] = [new Set(), new Set()];
  for (let k = 0; k < head; k += 1) { inA.add(k); inB.add(k); }
  for (let k = 1; k <= tail; k += 1) { inA.add(a.length - k); inB.add(b.length - k); }
  for (let i = 0, j = 0; i < n && j < m;) {
    if (a[head + i] === b[head + j]) { inA.add(head + i); inB.add(head + j); i += 1; j += 1; }
    else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return [inA, inB];
}

/* Neighbouring words share one mark. From the end, so that earlier offsets stay true. */
function wrap(list) {
  const runs = [];
  for (const word of list) {
    const last = runs.at(-1);
    if (last && last.node === word.node && !/\S/.test(word.node.data.slice(last.end, word.start))) last.end = word.end;
    else runs.push({ ...word });
  }
  for (const run of runs.reverse()) {
    const range = document.createRange();
    range.setStart(run.node, run.start);
    range.setEnd(run.node, run.end);
    const mark = document.createElement("mark");
    range.surroundContents(mark);
  }
}
