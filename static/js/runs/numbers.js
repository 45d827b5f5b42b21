// How curves' numbers are smoothed, made fit for a log scale, and written.

/* Exponential moving average without the pull of its start: weight 0 is the values as they are. */
export function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let share = 0;
  return values.map((value) => {
    if (value == null) return value;
    sum = weight * sum + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return sum / share;
  });
}

export const positive = (values) => values.map((value) => (value > 0 ? value : null));

export function written(value) {
  if (value == null) return "–";
  const size = Math.abs(value);
  return size >= 1e5 || (size && size < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(4));
}

/* The place of the last known value at or before a place; the first known one when there is none before. */
export function knownAt(values, place) {
  for (let index = place; index >= 0; index--) if (values[index] != null) return index;
  const later = values.findIndex((value) => value != null);
  return later === -1 ? null : later;
}
