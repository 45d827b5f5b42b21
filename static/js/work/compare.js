// Two responses side by side over the board, with what differs marked.

import { markDifferences } from "./differences.js";
import { nameOf } from "./keys.js";

export class Compare {
  constructor(form, board, { keys, onRank }) {
    this.board = board;
    this.keys = keys;
    this.onRank = onRank;
    this.dialog = form.querySelector("#compare");
    this.panes = this.dialog.querySelector("[data-panes]");
    this.mark = this.dialog.querySelector("[data-mark]");
    this.letters = [];
    this.active = 0;
    this.mark.addEventListener("change", () => this.#draw());
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.dialog.addEventListener("close", () => this.board.focus(this.letters[this.active]));
  }

  /* The card with the one before it on the page (the first one: with the one after). */
  open(letter) {
    const order = this.board.order();
    const here = order.indexOf(letter);
    const other = order[here > 0 ? here - 1 : 1];
    this.letters = here > 0 ? [other, letter] : [letter, other];
    this.active = this.letters.indexOf(letter);
    this.#draw();
    this.dialog.showModal();
    this.#activate(this.active);
  }

  #draw() {
    this.panes.replaceChildren(...this.letters.map((letter, side) => this.#pane(letter, side)));
    const bodies = [...this.panes.querySelectorAll(".prose")];
    this.dialog.querySelector("[data-mark-note]").textContent = this.mark.checked ? markDifferences(...bodies) : "";
    this.#activate(this.active, { focus: false });
  }

  #pane(letter, side) {
    const pane = document.createElement("section");
    pane.className = "compare-pane";
    pane.tabIndex = 0;
    pane.setAttribute("aria-label", `Response ${letter}`);
    pane.addEventListener("focusin", () => this.#activate(side, { focus: false }));
    const head = document.createElement("header");
    head.append(this.#chooser(letter, side), this.#ranks(letter));
    const body = this.board.cards.get(letter).querySelector(".prose").cloneNode(true);
    pane.append(head, body);
    return pane;
  }

  #chooser(letter, side) {
    const select = document.createElement("select");
    select.setAttribute("aria-label", side ? "Right response" : "Left response");
    for (const other of this.board.letters) {
      if (other !== this.letters[1 - side]) select.add(new Option(other, other, false, other === letter));
    }
    select.addEventListener("change", () => { this.letters[side] = select.value; this.active = side; this.#draw(); });
    return select;
  }

  #ranks(letter) {
    const group = document.createElement("div");
    group.className = "rank-buttons";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Rank of ${letter}`);
    if (this.board.isReadOnly) return group;
    for (let rank = 1; rank <= this.board.size; rank += 1) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = rank;
      button.setAttribute("aria-label", `Put ${letter} at rank ${rank}`);
      button.setAttribute("aria-pressed", String(this.board.rank(letter) === rank));
      button.addEventListener("click", () => this.#rank(letter, rank));
      group.append(button);
    }
    return group;
  }

  #rank(letter, rank) {
    this.onRank(letter, rank);
    this.#draw();
    this.#activate(this.letters.indexOf(letter));
  }

  #activate(side, { focus = true } = {}) {
    this.active = side;
    [...this.panes.children].forEach((pane, index) => pane.classList.toggle("is-current", index === side));
    if (focus) this.panes.children[side]?.focus();
  }

  #key(event) {
    if (event.target.closest("select")) return;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      this.#activate(event.key === "ArrowRight" ? 1 : 0);
    } else if (/^[1-9]$/.test(event.key) && Number(event.key) <= this.board.size && !this.board.isReadOnly) {
      event.preventDefault();
      this.#rank(this.letters[this.active], Number(event.key));
    } else if (nameOf(event) === this.keys.compare) {
      event.preventDefault(); // or the page's own handler would open it again
      this.dialog.close();
    }
  }
}
