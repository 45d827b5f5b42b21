// The next tasks, held and fetched while this one is still being read, so that they stand there at once and work goes on
// without a network.

import { send } from "./api.js";
import { copiesOf, dropCopy, fetchCopy, findCopy, forgetOthers, startWorker } from "./copies.js";
import { tasksOnTheirWay } from "./outbox.js";

const WAIT = 2500;
let handed = null; // what the last answer came back with: this page need not ask
const hasNothingToDo = () => new Promise((done) => (globalThis.requestIdleCallback ?? setTimeout)(done, { timeout: 5000 }));

export function fetchAhead(form, { kinds, signal }) {
  const { task, labeler } = form.dataset;
  const own = location.pathname;
  const addressOf = (name, url) => form.dataset[name].replace(task, taskOf(url));
  const timer = setTimeout(() => fill().catch(() => {}), WAIT); // without a network: those that are here

  const question = async () => ({ kinds, besides: await tasksOnTheirWay(labeler), with_sheet: false, ahead: true });

  /* The page in hand is kept too. What the server does not hand out again is no longer held, so its copy goes. */
  async function fill() {
    startWorker(form);
    await forgetOthers(labeler);
    if (!(await findCopy(labeler, own))) await fetchCopy(labeler, own);
    const { held } = handed ?? (await send(form, form.dataset.apiNext, await question()));
    handed = null;
    const isHeld = new Set(held.map(({ url }) => url));
    for (const url of isHeld) {
      if (signal.aborted) return;
      if (!(await findCopy(labeler, url))) await fetchCopy(labeler, url);
      await hasNothingToDo();
    }
    if (!signal.aborted) for (const url of await others()) if (!isHeld.has(url)) await dropCopy(labeler, url);
  }

  async function others() {
    const sent = new Set(await tasksOnTheirWay(labeler));
    const inProject = own.slice(0, own.indexOf(task));
    return (await copiesOf(labeler)).filter((url) => url !== own && url.startsWith(inProject) && !sent.has(taskOf(url)));
  }

  signal.addEventListener("abort", () => clearTimeout(timer));

  return {
    /* Each has its own lease. One that was lost is not shown any more. */
    async renew() {
      for (const url of await others()) {
        const { lease_until: until } = await send(form, addressOf("apiRenew", url));
        if (until === null) await dropCopy(labeler, url);
      }
    },
    /* {url, page}: the first of the same kind of work that is here, or null. */
    async take() {
      for (const url of await others()) {
        const page = new DOMParser().parseFromString((await findCopy(labeler, url)) ?? "", "text/html");
        if (page.querySelector(`main form[data-work="${form.dataset.work}"]`)) return { url, page };
      }
      return null;
    },
    /* What an answer asks for besides, and what came of it. */
    async asks() {
      const asked = await question();
      return { ...asked, besides: asked.besides.filter((one) => one !== task) };
    },
    handOver(next) { handed = next; },
    /* This task is answered: its page is not shown again. */
    leave: () => dropCopy(labeler, own),
  };
}

const taskOf = (url) => url.split("/").at(-2);
