// Guided sort: two responses at a time, "left, tie, right", and the ranking is found by binary insertion, with the
// fewest questions. For long texts this is lighter than a board of nine.

import { markDifferences } from "./differences.js";
import { nameOf } from "./keys.js";

const ALWAYS = "podium.guided";

export class Guided {
  constructor(form, board, { keys, onRanks }) {
    this.board = board;
    this.keys = keys;
    this.onRanks = onRanks;
    this.dialog = form.querySelector("#guided");
    this.panes = this.dialog.querySelector("[data-panes]");
    this.always = this.dialog.querySelector("[data-always]");
    this.past = [];
    this.always.checked = localStorage.getItem(ALWAYS) === "1";
    this.always.addEventListener("change", () => localStorage.setItem(ALWAYS, this.always.checked ? "1" : ""));
    this.dialog.addEventListener("click", (event) => {
      const said = event.target.closest("[data-says]")?.dataset.says;
      if (said) this.say(said);
    });
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.dialog.addEventListener("close", () => this.board.focus(this.board.notPlaced()[0] ?? this.board.order()[0]));
  }

  startIfWanted() {
    if (this.always.checked && this.board.notPlaced().length === this.board.size) this.open();
  }

  /* Goes on from what is on the board; a full board is sorted anew. */
  open() {
    if (this.board.size < 3) return;
    const isFull = !this.board.notPlaced().length;
    const placed = isFull ? [] : this.board.placed();
    const byRank = Object.groupBy(placed, (letter) => this.board.rank(letter));
    const queue = this.board.letters.filter((letter) => !placed.includes(letter));
    this.state = { groups: Object.values(byRank), queue };
    this.past = [];
    if (!this.state.groups.length) this.state.groups.push([this.state.queue.shift()]);
    this.#begin();
    this.#draw();
    this.dialog.showModal();
    this.panes.firstElementChild.focus();
  }

  /* "left": the one on the board is better; "right": the new one is; "tie". */
  say(said) {
    this.past.push(structuredClone(this.state));
    const { state } = this;
    const middle = this.#middle();
    if (said === "tie") {
      state.groups[middle].push(state.queue.shift());
      this.#begin();
    } else {
      if (said === "left") state.low = middle + 1;
      else state.high = middle;
      if (state.low >= state.high) {
        state.groups.splice(state.low, 0, [state.queue.shift()]);
        this.#begin();
      }
    }
    if (state.queue.length) this.#draw();
    else this.#finish();
  }

  undo() {
    const last = this.past.pop();
    if (!last) return;
    this.state = last;
    this.#draw();
  }

  #begin() { Object.assign(this.state, { low: 0, high: this.state.groups.length }); }
  #middle() { return Math.floor((this.state.low + this.state.high) / 2); }

  #finish() {
    const ranks = {};
    this.state.groups.forEach((group, index) => { for (const letter of group) ranks[letter] = index + 1; });
    this.onRanks(ranks);
    this.dialog.close();
  }

  /* How many questions are left at most. */
  #left() {
    const { groups, queue, low, high } = this.state;
    const needed = (places) => Math.ceil(Math.log2(places + 1));
    return queue.reduce((sum, _, index) => sum + (index ? needed(groups.length + index) : needed(high - low)), 0);
  }

  #draw() {
    const [left, right] = [this.state.groups[this.#middle()][0], this.state.queue[0]];
    this.panes.replaceChildren(this.#pane(left, "left"), this.#pane(right, "right"));
    markDifferences(...this.panes.querySelectorAll(".prose"));
    for (const [side, letter] of [["left", left], ["right", right]]) {
      this.dialog.querySelector(`[data-says=${side}] span`).textContent = `${letter} is better`;
    }
    const num = this.#left();
    this.dialog.querySelector("[data-left]").textContent = num === 1 ? "the last question" : `at most ${num} questions left`;
    this.dialog.querySelector("[data-guided-undo]").disabled = !this.past.length;
    this.panes.scrollTop = 0;
    this.panes.firstElementChild.focus(); // the pane that had the focus is gone, and with it the keys would be
  }

  #pane(letter, side) {
    const pane = document.createElement("section");
    pane.className = "compare-pane";
    pane.tabIndex = 0;
    pane.setAttribute("aria-label", `Response ${letter}, ${side}`);
    const head = document.createElement("header");
    const name = Object.assign(document.createElement("span"), { className: "response-letter", textContent: letter });
    head.append(name);
    pane.append(head, this.board.cards.get(letter).querySelector(".prose").cloneNode(true));
    return pane;
  }

  #key(event) {
    const name = nameOf(event);
    const said = { 1: "left", 2: "right", 0: "tie", [this.keys.left]: "left", [this.keys.right]: "right", [this.keys.tie]: "tie" }[name];
    if (said && !event.repeat) { event.preventDefault(); this.say(said); }
    if (name === this.keys.undo) { event.preventDefault(); this.undo(); }
  }
}
