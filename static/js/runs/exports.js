// A curve to take away: its numbers as CSV, its picture as PNG. Both are made here, of what the page has already.

const LINE = 20;
const HEAD = 34;
const PAD = 12;

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/* `columns` are arrays of one length; a cell that would start a formula in a spreadsheet starts with an apostrophe. */
export function csv(names, columns) {
  const lines = columns[0].map((_, row) => columns.map((column) => column[row] ?? "").join(","));
  return new Blob([[names.map(cell).join(","), ...lines, ""].join("\r\n")], { type: "text/csv" });
}

function cell(text) {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${harmless.replaceAll('"', '""')}"`;
}

/* The plot with its title above and the names of its lines below, on the page's own ground. */
export function png({ plot, title, lines, colours }) {
  const source = plot.ctx.canvas;
  const ratio = source.width / plot.width;
  const canvas = document.createElement("canvas");
  canvas.width = source.width;
  canvas.height = source.height + (HEAD + PAD + lines.length * LINE) * ratio;
  const context = canvas.getContext("2d");
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, HEAD * ratio);
  context.scale(ratio, ratio);
  context.textBaseline = "middle";
  context.fillStyle = colours.text;
  context.font = `600 15px ${colours.font}`;
  context.fillText(title, PAD, HEAD / 2);
  context.font = `13px ${colours.font}`;
  lines.forEach(({ name, colour }, place) => {
    const y = HEAD + plot.height + PAD / 2 + (place + 0.5) * LINE;
    context.fillStyle = colour;
    context.fillRect(PAD, y - 5, 10, 10);
    context.fillStyle = colours.text;
    context.fillText(name, PAD + 18, y);
  });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
