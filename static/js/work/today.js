// "Task 12 of today" on a page that was fetched before the tasks ahead of it were done. The server's count
// holds for pages it has made since; for older ones the browser's history keeps what the page before has said.

const numberOf = (form) => Number(form.dataset.numToday) || 0;

/* What the page after this one has to say, as the state of its entry in the history. */
export function countOn(form, next) {
  return {
    numToday: numberOf(form) + 1,
    madeAt: Math.max(Number(form.dataset.madeAt), Number(next.dataset.madeAt)),
  };
}

export function showToday(form) {
  const known = history.state;
  if (known?.numToday > numberOf(form) && Number(form.dataset.madeAt) <= known.madeAt) Object.assign(form.dataset, known);
  const place = form.querySelector("[data-today]");
  if (place) place.textContent = numberOf(form) + 1;
}
