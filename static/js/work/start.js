// The start page sends what an earlier page could not.

import { keepSending } from "./outbox.js";

keepSending(document.querySelector("[data-labeler]"), { signal: new AbortController().signal });
