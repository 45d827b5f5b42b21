// What a labeler does with cards: put, tie, move, take off, rate, undo. Each move is announced and can be undone.

import { announce } from "./announce.js";

export class Moves {
  constructor(form, board, { onChange }) {
    this.form = form;
    this.board = board;
    this.onChange = onChange;
    this.past = [];
    this.begin();
  }

  /* Where the answer as it stands leaves off: first the ratings that are wanted, then ranks. */
  begin() {
    this.isRating = this.form.dataset.rateFirst === "1" && !this.board.isReadOnly && this.unrated().length > 0;
  }

  /* Put the card at the rank and go to the next one that waits. */
  put(letter, rank) {
    if (rank > this.board.size) return announce(this.form, `There are ${this.board.size} ranks.`);
    this.board.settle();
    const at = this.board.cards.get(letter).getBoundingClientRect().top;
    const wasWaiting = this.board.rank(letter) === null;
    this.#change({ [letter]: rank }, letter);
    announce(this.form, this.#told(letter));
    const next = wasWaiting ? this.#nextWaiting(letter) : null;
    this.board.focus(next ?? letter, { keepAt: next ? at : null });
  }

  /* The whole order at once, as the guided sort found it; one undo takes it back. */
  placeAll(ranks) {
    this.#change(ranks, this.board.letters[0]);
    announce(this.form, `All placed: ${this.board.summary()}.`);
  }

  tie(letter) {
    const other = this.#toTieWith(letter);
    if (!other) return announce(this.form, "There is no card above to tie with.");
    this.put(letter, this.board.rank(other));
  }

  step(letter, by) {
    const rank = this.board.rank(letter);
    const target = rank === null ? (by > 0 ? 1 : this.board.size) : Math.max(1, Math.min(this.board.size, rank + by));
    if (target === rank) return;
    this.#change({ [letter]: target }, letter);
    announce(this.form, this.#told(letter));
    this.board.focus(letter);
  }

  takeOff(letter) {
    if (this.board.rank(letter) === null) return;
    this.#change({ [letter]: null }, letter);
    announce(this.form, `${letter} is off the board.`);
    this.board.focus(letter);
  }

  go(by) {
    const order = this.board.order();
    const here = order.indexOf(this.board.current);
    this.board.focus(order[Math.max(0, Math.min(order.length - 1, here === -1 ? 0 : here + by))]);
  }

  undo() {
    const last = this.past.pop();
    if (!last) return announce(this.form, "Nothing to undo.");
    for (const [letter, rating] of Object.entries(last.ratings ?? {})) this.#check(letter, rating);
    if (last.ranks) this.board.place(last.ranks);
    announce(this.form, `Undone. ${this.board.placed().length} of ${this.board.size} placed.`);
    this.onChange();
    this.board.focus(last.letter);
  }

  /* Rating: the digit is the mark. When the last card has one, the cards go to the board by these marks. */
  rate(letter, mark) {
    if (mark > 7) return announce(this.form, "Ratings go from 1 to 7.");
    this.board.settle();
    const at = this.board.cards.get(letter).getBoundingClientRect().top;
    this.past.push({ letter, ratings: { [letter]: this.rating(letter) } });
    this.#check(letter, mark);
    announce(this.form, `${letter} rated ${mark}.`);
    this.rated(letter, at);
  }

  rated(letter, keepAt = null) {
    this.onChange();
    if (!this.isRating) return;
    const left = this.unrated();
    if (left.length) { if (keepAt !== null) this.board.focus(this.#after(letter, left), { keepAt }); return; }
    this.isRating = false;
    if (!this.board.placed().length) this.#placeByRatings();
  }

  switchPhase() {
    if (this.form.dataset.rateFirst !== "1") return;
    this.isRating = !this.isRating;
    announce(this.form, this.isRating ? "Rating: digits give 1 to 7." : "Ranking: digits give ranks.");
    this.onChange();
  }

  rating(letter) { return Number(this.form.elements[`rating_${letter}`]?.value) || null; }
  unrated() { return this.form.dataset.rateFirst === "1" ? this.board.letters.filter((letter) => !this.rating(letter)) : []; }

  /* Pairs whose ranks say the opposite of their ratings: pointed out, never blocked. */
  contradictions() {
    const found = [];
    for (const a of this.board.placed()) {
      for (const b of this.board.placed()) {
        if ((this.rating(a) ?? 0) > (this.rating(b) ?? Infinity) && this.board.rank(a) > this.board.rank(b)) found.push([a, b]);
      }
    }
    return found;
  }

  /* The list has changed the rank already: as it was, then the move. */
  choose(letter, rank) {
    this.board.select(letter).value = this.board.shown(letter) ?? "";
    if (rank === null) this.takeOff(letter);
    else this.put(letter, rank);
  }

  /* A drag has changed a rank already; `before` is what it was. */
  noteOutside(letter, before) {
    this.past.push({ letter, ranks: { [letter]: before } });
    announce(this.form, this.#told(letter));
    this.onChange();
  }

  #change(ranks, letter) {
    const before = this.board.place(ranks);
    this.past.push({ letter, ranks: before });
    this.onChange();
  }

  #placeByRatings() {
    const marks = [...new Set(this.board.letters.map((letter) => this.rating(letter)))].sort((a, b) => b - a);
    const ranks = Object.fromEntries(this.board.letters.map((letter) => [letter, marks.indexOf(this.rating(letter)) + 1]));
    this.#change(ranks, this.board.letters[0]);
    announce(this.form, "All rated. The cards stand by your ratings; put them in the order you want.");
    this.board.focus(this.board.order()[0]);
  }

  #check(letter, mark) {
    for (const radio of this.form.querySelectorAll(`input[name="rating_${letter}"]`)) radio.checked = Number(radio.value) === mark;
  }

  #nextWaiting(letter) {
    const waiting = this.board.notPlaced();
    return waiting.length ? this.#after(letter, waiting) : null;
  }

  /* The next of `some` after this letter, from the start again at the end. */
  #after(letter, some) { return some.find((other) => other > letter) ?? some[0]; }

  #toTieWith(letter) {
    if (this.board.rank(letter) === null) {
      const last = this.board.lastPlaced;
      return last && this.board.rank(last) ? last : this.board.placed().at(-1);
    }
    const rank = this.board.rank(letter);
    return this.board.placed().filter((other) => this.board.rank(other) < rank).sort((a, b) => this.board.rank(b) - this.board.rank(a))[0];
  }

  #told(letter) {
    const rank = this.board.rank(letter);
    const mates = this.board.placed().filter((other) => other !== letter && this.board.rank(other) === rank);
    const tied = mates.length ? `, tied with ${mates.join(" and ")}` : "";
    return `${letter} at rank ${rank}${tied}. ${this.board.placed().length} of ${this.board.size} placed.`;
  }
}
