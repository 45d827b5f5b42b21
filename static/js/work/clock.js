// Active time: it runs while the page is in sight and somebody has moved, typed or scrolled within the last minute.

const IDLE_AFTER = 60_000;

export function startClock(form, { signal }) {
  const face = form.querySelector("[data-clock]");
  let seconds = Number(form.dataset.draftActive) || 0;
  let lastSign = performance.now();
  let lastTick = performance.now();
  const wake = () => { lastSign = performance.now(); };
  for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "scroll", "touchstart"]) {
    document.addEventListener(name, wake, { passive: true, capture: true, signal });
  }
  const isActive = () => !document.hidden && performance.now() - lastSign < IDLE_AFTER;
  const timer = setInterval(() => {
    const now = performance.now();
    if (isActive()) seconds += Math.min(now - lastTick, 2000) / 1000; // a sleeping machine's gap is no work
    lastTick = now;
    if (face) face.textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  }, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  if (face) face.hidden = false;
  return {
    isActive,
    seconds: () => Math.round(seconds * 10) / 10,
    atLeast(known) { seconds = Math.max(seconds, Number(known) || 0); }, // what an earlier visit has counted
  };
}
