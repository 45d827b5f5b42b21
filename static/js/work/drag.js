// Dragging cards between rungs with SortableJS. Without it (or without a pointer) buttons and keys do all the same.

export async function bindDrag(form, board, { onDropped }) {
  if (board.isReadOnly) return;
  const address = form.querySelector("[data-sortable]").dataset.sortable;
  if (!address) return; // not installed: the page works without
  let Sortable;
  try {
    ({ default: Sortable } = await import(address));
  } catch {
    return; // did not load: the page works without
  }
  const zones = [board.waiting, ...board.rungs.querySelectorAll(".rung-cards")];
  for (const zone of zones) {
    Sortable.create(zone, {
      group: "cards",
      draggable: ".response",
      handle: ".response-head",
      filter: "button, select, a, input",
      preventOnFilter: false,
      sort: false, // within a rung the order means nothing
      delay: 150,
      delayOnTouchOnly: true,
      animation: 0,
      forceFallback: true, // one behaviour for mouse, pen and touch
      fallbackTolerance: 4,
      ghostClass: "is-ghost",
      dragClass: "is-dragged",
      scrollSensitivity: 80,
      onStart: () => form.classList.add("is-dragging"),
      onEnd: (event) => {
        const letter = event.item.dataset.letter;
        const before = board.rank(letter);
        const zone = zoneUnder(event.originalEvent) ?? event.to;
        const after = Number(zone.dataset.rank) || null;
        form.classList.remove("is-dragging"); // only now: empty rungs fold, and everything below moves
        board.place({ [letter]: after });
        if (before !== after) onDropped(letter, before);
        board.focus(letter);
      },
    });
  }
}

/* Where the pointer let go, the number of a rung included. What Sortable had shown last can lag behind a quick hand. */
function zoneUnder(event) {
  const { clientX, clientY } = event?.changedTouches?.[0] ?? event ?? {};
  if (clientX === undefined) return null;
  const under = document.elementsFromPoint(clientX, clientY);
  return under.map((element) => element.closest(".rung, [data-waiting]")).find(Boolean) ?? null;
}
