// The ranking page. The form works by itself; this makes it quick: board, keys, drag, draft, next task ahead.

import { announce } from "./announce.js";
import { fillAnswer, readAnswer } from "./answer.js";
import { fetchAhead } from "./ahead.js";
import { Board } from "./board.js";
import { startClock } from "./clock.js";
import { Compare } from "./compare.js";
import { bindBanner } from "./connection.js";
import { bindDialogs, foldPrompt, openDialog, openSkip, standBelowBar } from "./dialogs.js";
import { bindDrag } from "./drag.js";
import { keepDraft } from "./drafts.js";
import { Guided } from "./guided.js";
import { bindKeys, ownKeys } from "./keys.js";
import { keepLease } from "./lease.js";
import { Moves } from "./moves.js";
import { bindSending } from "./sending.js";
import { sendByForm } from "./send_form.js";
import { showToday } from "./today.js";

const ALWAYS = { ArrowUp: "previous", ArrowDown: "next", Enter: "expand" }; // beside the chosen keys
const NARROW = matchMedia("(max-width: 43.74rem)");
let page; // ends what the last task's page had going

function start() {
  page?.abort();
  page = new AbortController();
  const { signal } = page;
  const form = document.querySelector("form[data-work=rank], form[data-work=revise]");
  const none = form.elements.outcome;
  const keys = ownKeys(form);
  const saved = { draft: null };

  const board = new Board(form, { onPlaced: () => saved.draft?.changed() });
  const moves = new Moves(form, board, { onChange: refresh });
  const compare = new Compare(form, board, { keys, onRank: (letter, rank) => moves.put(letter, rank) });
  const clock = startClock(form, { signal });

  const read = () => readAnswer(form, board.letters);
  const draftOf = () => ({ ...read(), active_seconds: clock.seconds() });
  function fill(said) {
    fillAnswer(form, board.letters, said);
    clock.atLeast(said.active_seconds);
    board.render();
    moves.begin();
    refresh();
    board.focus(board.notPlaced()[0] ?? board.order()[0]);
  }

  /* What still stands between this page and a submit, or null. */
  function check() {
    const waiting = board.notPlaced();
    if (none.checked && waiting.length === board.size) return null;
    if (waiting.length) {
      board.focus(waiting[0]);
      const them = waiting.length === 1 ? `${waiting[0]} has` : `${list(waiting)} have`;
      return none.checked ? `${them} no place yet: place all the cards, or none.` : `${them} no place yet.`;
    }
    const unrated = none.checked ? [] : moves.unrated();
    if (unrated.length) { board.focus(unrated[0]); return `${list(unrated)} ${unrated.length === 1 ? "has" : "have"} no rating yet.`; }
    return null;
  }

  function refresh() {
    const num = board.placed().length;
    const state = form.querySelector("[data-num-placed]");
    if (state) state.textContent = moves.isRating ? `${board.size - moves.unrated().length} of ${board.size} rated` : `${num} of ${board.size} placed`;
    const order = form.querySelector("[data-order]");
    if (order) order.textContent = board.summary();
    const undo = form.querySelector("[data-undo]");
    if (undo) { undo.hidden = false; undo.disabled = !moves.past.length; }
    const isReady = num === board.size || (none?.checked && num === 0);
    form.querySelector("[data-submit]")?.classList.toggle("button--primary", Boolean(isReady));
    form.classList.toggle("is-rating", moves.isRating);
    for (const letter of board.letters) {
      const ticked = form.querySelectorAll(`input[name="flags_${letter}"]:checked`).length;
      const badge = board.cards.get(letter).querySelector("[data-num-flags]");
      badge.hidden = !ticked;
      badge.textContent = ticked;
    }
    hint();
  }

  function hint() {
    const place = form.querySelector("[data-hint]");
    const against = moves.contradictions();
    let text = "";
    if (against.length) {
      const [a, b] = against[0];
      text = `You rated ${a} higher than ${b}, but ${b} ranks above ${a}. That may be right.`;
    } else if (moves.isRating) text = "First rate each response by itself, 1 to 7. Then they go to the board by your ratings.";
    else if (!board.placed().length && !board.isReadOnly) text = NARROW.matches ? "Give each response a rank. The same rank twice is a tie." : "Give each response a rank: press a digit, click a number, or drag. The same rank twice is a tie.";
    place.textContent = text;
    place.hidden = !text;
    place.classList.toggle("work-hint--attention", against.length > 0);
  }

  const toggleRemarks = () => {
    const remarks = board.cards.get(board.current)?.querySelector("[data-remarks]");
    if (!remarks) return;
    remarks.open = true;
    remarks.querySelector("input, textarea")?.focus();
  };
  const toggleNone = () => {
    none.checked = !none.checked;
    none.dispatchEvent(new Event("change", { bubbles: true }));
    announce(form, none.checked ? "None is acceptable." : "Some are acceptable.");
  };
  const guided = form.querySelector("#guided") && new Guided(form, board, { keys, onRanks: (ranks) => moves.placeAll(ranks) });
  const here = () => board.current ?? board.order()[0];

  form.addEventListener("change", (event) => {
    const { name, value } = event.target;
    if (name?.startsWith("rating_")) moves.rated(name.slice(7));
    if (name?.startsWith("rank_")) moves.choose(name.slice(5), Number(value) || null);
    refresh();
  }, { signal });
  form.addEventListener("click", (event) => {
    const made = event.target.closest("[data-does]");
    if (made?.dataset.does === "rank") moves.put(made.dataset.letter, Number(made.dataset.rank));
    if (made?.dataset.does === "step") moves.step(made.dataset.letter, Number(made.dataset.by));
    if (made?.dataset.does === "tie") moves.tie(made.dataset.letter);
    if (made?.dataset.does === "compare") compare.open(made.dataset.letter);
    if (event.target.closest("[data-undo]")) moves.undo();
    if (event.target.closest("[data-guided]")) guided.open();
    if (event.target.closest("[data-guided-undo]")) guided.undo();
  }, { signal });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    form.querySelector("[data-skip]")?.removeAttribute("open");
    const remarks = event.target.closest("[data-remarks]");
    if (remarks && !remarks.querySelector("input:checked") && !remarks.querySelector("textarea").value) remarks.open = false;
    if (event.target.closest(".response, [data-skip]")) board.focus(here());
  }, { signal });

  const lookOnly = {
    previous: () => moves.go(-1), next: () => moves.go(1),
    expand: () => board.expand(here()), compare: () => compare.open(here()),
    guidelines: () => openDialog("guidelines-panel"), help: () => openDialog("keys-sheet"),
  };
  bindDialogs(form, { signal });
  foldPrompt(form);
  standBelowBar(form, { signal });
  if (board.isReadOnly) { bindKeys(keys, lookOnly, { always: ALWAYS, signal }); refresh(); return; }

  saved.draft = form.dataset.apiDraft ? keepDraft(form, { read: draftOf, fill, signal }) : null;
  const { submit } = form.dataset.work === "rank" ? sendByApi() : sendByForm(form, { check, clock, draft: saved.draft, signal });
  bindKeys(keys, {
    ...lookOnly,
    digit: (digit) => (moves.isRating ? moves.rate(here(), digit) : moves.put(here(), digit)),
    take_off: () => moves.takeOff(here()), tie: () => moves.tie(here()),
    up: () => moves.step(here(), -1), down: () => moves.step(here(), 1),
    guided: () => guided?.open(), flags: toggleRemarks, none: toggleNone, skip: () => openSkip(form), phase: () => moves.switchPhase(),
    undo: () => moves.undo(), submit,
  }, { always: ALWAYS, signal });
  bindDrag(form, board, { onDropped: (letter, before) => moves.noteOutside(letter, before) });
  new ResizeObserver(() => board.measure()).observe(form);
  refresh();
  board.focus(board.notPlaced()[0] ?? board.order()[0]);
  if (guided) {
    form.querySelector("[data-guided]").hidden = false;
    if (!moves.isRating) guided.startIfWanted();
  }

  function sendByApi() {
    const ahead = fetchAhead(form, { kinds: [form.dataset.kind], signal });
    keepLease(form, { clock, ahead, signal });
    bindBanner(form, { signal });
    showToday(form);
    return bindSending(form, { read, fill, check, draft: saved.draft, ahead, clock, start, signal });
  }
}

function list(letters) {
  return letters.length > 1 ? `${letters.slice(0, -1).join(", ")} and ${letters.at(-1)}` : letters[0];
}

window.addEventListener("popstate", () => location.reload());
start();
