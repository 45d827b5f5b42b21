// The line at the top of a run's pages: state, progress, time left. When the run has ended, the whole page is loaded once more.

import { follow } from "./live.js";

const part = {
  after: () => 1,
  take(html, { is_live: isLive }) {
    if (!isLive) location.reload();
    else document.getElementById("run-head").outerHTML = html;
    return false;
  },
};

const { dataset } = document.getElementById("run-head");
if ("live" in dataset) follow(dataset.live, "head", part);
