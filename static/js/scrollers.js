// Boxes that scroll sideways can be reached and scrolled by keyboard; those that fit stay out of the way of Tab.

const BOXES = ".prose :is(.table-box, .math-display, pre), .table-wrap";

export function reachScrollers(root = document) {
  for (const box of root.querySelectorAll(BOXES)) {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    if (scrolls === (box.tabIndex === 0)) continue;
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
