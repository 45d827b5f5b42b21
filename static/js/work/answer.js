// What the ranking form says, in the shape that drafts and the API have (by letter), and back into the form.

export function readAnswer(form, letters) {
  const byLetter = (value) => Object.fromEntries(letters.map((letter) => [letter, value(letter)]).filter(([, said]) => said !== null));
  return {
    outcome: form.elements.outcome?.checked ? "none_acceptable" : "ranked",
    ranks: byLetter((letter) => Number(form.elements[`rank_${letter}`].value) || null),
    ratings: byLetter((letter) => Number(form.elements[`rating_${letter}`]?.value) || null),
    flags: byLetter((letter) => {
      const ticked = boxes(form, `flags_${letter}`).filter((box) => box.checked).map((box) => box.value);
      return ticked.length ? ticked : null;
    }),
    notes: byLetter((letter) => form.elements[`note_${letter}`].value || null),
    note: form.elements.note.value,
    ...Object.fromEntries(also(form).map((field) => [field.name, field.value])),
  };
}

export function fillAnswer(form, letters, said) {
  form.elements.outcome.checked = said.outcome === "none_acceptable";
  form.elements.note.value = said.note ?? "";
  for (const field of also(form)) if (field.type !== "hidden") field.value = said[field.name] ?? "";
  for (const letter of letters) {
    form.elements[`rank_${letter}`].value = said.ranks?.[letter] ?? "";
    for (const radio of boxes(form, `rating_${letter}`)) radio.checked = Number(radio.value) === said.ratings?.[letter];
    for (const box of boxes(form, `flags_${letter}`)) box.checked = said.flags?.[letter]?.includes(box.value) ?? false;
    form.elements[`note_${letter}`].value = said.notes?.[letter] ?? "";
  }
}

/* Fields that only some pages have, such as a reviewer's reason. */
const also = (form) => [...form.querySelectorAll("[data-also]")];
const boxes = (form, name) => [...form.querySelectorAll("input")].filter((input) => input.name === name);
