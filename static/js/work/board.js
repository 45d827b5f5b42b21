// The board: cards on numbered rungs, ties side by side, what has no place yet below. The form's own fields hold the
// truth (the rank of A is the select "rank_A"); the board only shows it.

const FEW_LINES = 64; // pixels: to hide less than that costs a click and saves nothing
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

export class Board {
  constructor(form, { onPlaced }) {
    this.form = form;
    this.onPlaced = onPlaced;
    this.rungs = form.querySelector("[data-board]");
    this.waiting = form.querySelector("[data-waiting]");
    this.isReadOnly = form.dataset.readOnly === "1";
    this.cards = new Map([...form.querySelectorAll(".response")].map((card) => [card.dataset.letter, card]));
    this.letters = [...this.cards.keys()];
    this.size = this.letters.length;
    this.current = null; // the letter that digits act on
    this.lastPlaced = null;
    this.#buildRungs();
    for (const letter of this.letters) this.#equip(letter);
    form.querySelector("[data-plain]")?.setAttribute("hidden", "");
    form.classList.add("work--live");
    this.render();
  }

  select(letter) { return this.form.elements[`rank_${letter}`]; }
  rank(letter) { return Number(this.select(letter).value) || null; }
  placed() { return this.letters.filter((letter) => this.rank(letter)); }
  notPlaced() { return this.letters.filter((letter) => !this.rank(letter)); }

  /* The rank at which the card stands on the board. */
  shown(letter) { return Number(this.cards.get(letter).closest(".rung")?.dataset.rank) || null; }

  /* Letters as they stand on the page: the board from the top, then the waiting ones. */
  order() {
    return [...this.form.querySelectorAll(".response")].map((card) => card.dataset.letter);
  }

  /* Give cards their ranks ({A: 1, B: null}); returns what they were before. */
  place(ranks) {
    const before = Object.fromEntries(Object.keys(ranks).map((letter) => [letter, this.rank(letter)]));
    for (const [letter, rank] of Object.entries(ranks)) {
      this.select(letter).value = rank ?? "";
      if (rank) this.lastPlaced = letter;
    }
    this.render();
    this.onPlaced();
    return before;
  }

  render() {
    if (!CALM.matches) this.#glideLater();
    for (const letter of this.letters) {
      const rank = this.rank(letter);
      const home = rank ? this.rungs.children[rank - 1].querySelector(".rung-cards") : this.waiting;
      this.#insert(home, this.cards.get(letter));
      this.#showRank(letter, rank);
    }
    this.form.querySelector("[data-waiting-title]").hidden = !this.notPlaced().length || !this.placed().length;
    this.rungs.hidden = false;
    this.rungs.classList.toggle("is-empty", !this.placed().length);
    this.measure();
  }

  /* Ends all motion, so that what is measured next is where things are. */
  settle() {
    for (const card of this.cards.values()) card.getAnimations().forEach((animation) => animation.cancel());
  }

  /* The order in one line: A = C, then B. */
  summary() {
    const byRank = Object.groupBy(this.placed(), (letter) => this.rank(letter));
    return Object.values(byRank).map((letters) => letters.join(" = ")).join("  ›  ");
  }

  focus(letter, { keepAt = null } = {}) {
    const card = this.cards.get(letter);
    if (!card) return;
    this.#markCurrent(letter);
    card.focus({ preventScroll: true });
    this.#bringIntoSight(card, keepAt);
  }

  expand(letter, open) {
    const card = this.cards.get(letter);
    const isOpen = card.classList.toggle("is-open", open);
    const button = card.querySelector("[data-more]");
    button.textContent = isOpen ? `Show less of ${letter}` : `Show all of ${letter}`;
    button.setAttribute("aria-expanded", String(isOpen));
  }

  /* Which cards are taller than the room they are given. What would hide only a few lines is shown whole. */
  measure() {
    const cards = [...this.cards.values()];
    for (const card of cards) card.classList.remove("nearly-fits");
    const hidden = cards.map((card) => { const body = card.querySelector("[data-body]"); return body.scrollHeight - body.clientHeight; });
    cards.forEach((card, index) => {
      const isOpen = card.classList.contains("is-open");
      const isLong = hidden[index] > FEW_LINES;
      card.classList.toggle("nearly-fits", hidden[index] > 0 && !isLong);
      card.classList.toggle("overflows", isLong);
      card.querySelector("[data-more]").hidden = !(isLong || isOpen);
    });
  }

  #buildRungs() {
    for (let rank = 1; rank <= this.size; rank += 1) {
      const rung = document.createElement("li");
      rung.className = "rung";
      rung.dataset.rank = rank;
      const number = document.createElement("span");
      number.className = "rung-number";
      number.textContent = rank;
      number.setAttribute("aria-label", `Rank ${rank}`);
      const cards = document.createElement("div");
      cards.className = "rung-cards";
      cards.dataset.rank = rank;
      rung.append(number, cards);
      this.rungs.append(rung);
    }
  }

  #equip(letter) {
    const card = this.cards.get(letter);
    card.tabIndex = -1;
    card.addEventListener("focusin", () => this.#markCurrent(letter));
    card.addEventListener("pointerdown", (event) => {
      if (!event.target.closest("button, input, select, textarea, a, summary, label")) this.#markCurrent(letter);
    });
    card.querySelector("[data-more]").addEventListener("click", () => this.expand(letter));
    if (!this.isReadOnly) card.querySelector("[data-tools]").prepend(this.#rankButtons(letter), this.#stepper(letter));
    card.querySelector("[data-tools]").append(this.#compareButton(letter));
    card.querySelector("[data-rank-field]").classList.add("is-replaced");
  }

  #rankButtons(letter) {
    const group = document.createElement("div");
    group.className = "rank-buttons";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Rank of ${letter}`);
    for (let rank = 1; rank <= this.size; rank += 1) {
      group.append(button({ text: rank, label: `Put ${letter} at rank ${rank}`, data: { does: "rank", letter, rank } }));
    }
    return group;
  }

  /* For narrow screens: − 2 + and tie, each big enough for a thumb; the number itself opens the whole list. */
  #stepper(letter) {
    const group = document.createElement("div");
    group.className = "rank-stepper";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `Rank of ${letter}`);
    const number = this.select(letter);
    number.setAttribute("aria-label", `Rank of ${letter}`);
    number.options[1].textContent = "1"; // the board itself says which end is best
    group.append(
      button({ text: "−", label: `${letter} one rank up`, data: { does: "step", letter, by: -1 } }),
      number,
      button({ text: "+", label: `${letter} one rank down`, data: { does: "step", letter, by: 1 } }),
      button({ text: "tie", label: `Tie ${letter} with the card above`, data: { does: "tie", letter } }),
    );
    return group;
  }

  #compareButton(letter) {
    const made = button({ text: "Compare", label: `Compare ${letter} with another`, data: { does: "compare", letter } });
    made.className = "button button--quiet button--small response-compare";
    return made;
  }

  #insert(home, card) {
    const after = [...home.children].find((other) => other.dataset.letter > card.dataset.letter) ?? null;
    if (card.parentElement === home && card.nextElementSibling === after) return;
    home.insertBefore(card, after);
  }

  #showRank(letter, rank) {
    const card = this.cards.get(letter);
    card.classList.toggle("is-placed", rank !== null);
    card.querySelector("[data-place]").textContent = rank ? `rank ${rank}` : "not placed yet";
    for (const made of card.querySelectorAll(".rank-buttons button")) {
      made.setAttribute("aria-pressed", String(Number(made.dataset.rank) === rank));
    }
  }

  #markCurrent(letter) {
    this.current = letter;
    for (const [other, card] of this.cards) {
      card.classList.toggle("is-current", other === letter);
      card.tabIndex = other === letter ? 0 : -1;
    }
  }

  #positions() {
    return new Map(this.letters.map((letter) => [letter, this.cards.get(letter).getBoundingClientRect()]));
  }

  /* After the page has scrolled to the next card, but before it is painted. */
  #glideLater() {
    if (this.glidesFrom) return;
    this.glidesFrom = this.#positions();
    requestAnimationFrame(() => {
      this.#glide(this.glidesFrom);
      this.glidesFrom = null;
    });
  }

  /* Motion only shows where a card went. */
  #glide(first) {
    for (const [letter, before] of first) {
      const card = this.cards.get(letter);
      const after = card.getBoundingClientRect();
      const [dx, dy] = [before.left - after.left, before.top - after.top];
      if (!dx && !dy) continue;
      if (Math.abs(dy) > innerHeight) continue; // too far to follow with the eye
      card.animate([{ transform: `translate(${dx}px, ${dy}px)` }, { transform: "none" }], { duration: 150, easing: "ease-out" });
    }
  }

  /* Where the page is free to read: below the top bar and, on narrow screens, below the folded prompt. */
  #underBars() {
    const sticky = [document.querySelector(".topbar"), this.form.querySelector(".work-prompt--folds")];
    const narrow = matchMedia("(max-width: 68.74rem)").matches;
    const heights = sticky.map((bar, index) => (bar && (index === 0 || narrow) && getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0));
    return heights[0] + heights[1];
  }

  /* The next card appears where the last one was, so that the eye stays put; never under the bars. */
  #bringIntoSight(card, keepAt) {
    const top = card.getBoundingClientRect().top;
    const bar = this.#underBars();
    const foot = this.form.querySelector(".work-foot")?.getBoundingClientRect().top ?? innerHeight;
    const { bottom } = card.getBoundingClientRect();
    if (keepAt === null && top >= bar && bottom <= foot) return;
    if (keepAt === null && top >= bar && top < foot - 120) return;
    const target = Math.max(bar + 12, Math.min(keepAt ?? bar + 12, foot - 160));
    scrollBy({ top: top - target, behavior: "instant" });
  }
}

function button({ text, label, data }) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  Object.assign(made.dataset, data);
  return made;
}
