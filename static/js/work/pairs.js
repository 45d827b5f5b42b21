// The examples of a few-shot prompt: add one, take one away, without asking the server.

const pairsOf = (form) => [...form.querySelectorAll("[data-pair]")];

export function readPairs(form) {
  return pairsOf(form).map((pair) => {
    const [query, response] = pair.querySelectorAll("textarea");
    return { query: query.value, response: response.value };
  });
}

export function fillPairs(form, pairs) {
  const place = form.querySelector("[data-pairs]");
  if (!place) return;
  while (pairsOf(form).length < pairs.length) add(place);
  pairsOf(form).forEach((pair, index) => {
    const [query, response] = pair.querySelectorAll("textarea");
    query.value = pairs[index]?.query ?? "";
    response.value = pairs[index]?.response ?? "";
  });
}

export function bindPairs(form, { signal, onChange }) {
  const place = form.querySelector("[data-pairs]");
  if (!place) return;
  place.addEventListener("click", (event) => {
    const away = event.target.closest("[data-remove-pair]");
    if (!away && !event.target.closest("[data-add-pair]")) return;
    event.preventDefault();
    if (away) remove(place, away.closest("[data-pair]"));
    else add(place)?.querySelector("textarea").focus();
    onChange();
  }, { signal });
}

function add(place) {
  const all = place.querySelectorAll("[data-pair]");
  if (all.length >= Number(place.dataset.maxPairs)) return null;
  const pair = all[0].cloneNode(true);
  pair.classList.remove("pair--wrong");
  for (const box of pair.querySelectorAll("textarea")) box.value = "";
  place.querySelector("[data-add-pair]").before(pair);
  number(place);
  return pair;
}

/* The last one left is emptied: a prompt with examples has some. */
function remove(place, pair) {
  if (place.querySelectorAll("[data-pair]").length > 1) pair.remove();
  else for (const box of pair.querySelectorAll("textarea")) box.value = "";
  number(place);
  place.querySelector("[data-add-pair]").focus();
}

function number(place) {
  place.querySelectorAll("[data-pair]").forEach((pair, index) => {
    pair.querySelector("[data-pair-number]").textContent = index + 1;
    const away = pair.querySelector("[data-remove-pair]");
    away.value = `remove_pair_${index}`;
    away.setAttribute("aria-label", `Take away example ${index + 1}`);
  });
}
