// Requests to the labeling API. What each finds out about the connection is told to the page.

export class ApiError extends Error {
  constructor(status, body) {
    const loggedOut = "You are logged out. Log in in another window, then send again: your work stays here.";
    super(status === 403 && !body?.is_other_person ? loggedOut : body?.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.errors = body?.errors ?? {};
  }
}

/* The cookie's token first: a log-in in another window has changed it since this page was made. */
function csrfToken(form) {
  return /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? form.elements?.csrfmiddlewaretoken.value;
}

/* A gateway that finds no server behind it is as good as no network. */
export const isUnreachable = (status) => status === undefined || (status >= 502 && status <= 504);

const tell = (isReached) => document.dispatchEvent(new CustomEvent("podium:connection", { detail: { isReached } }));

export async function send(form, url, body, { method = "POST", keepalive = false } = {}) {
  const headers = { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken(form) };
  if (form.dataset.labeler) headers["Podium-Person"] = form.dataset.labeler; // refused if somebody else is logged in by now
  const request = { method, keepalive, headers, credentials: "same-origin", redirect: "error", body: JSON.stringify(body ?? {}) };
  const answer = await fetch(url, request).catch((error) => { tell(false); throw error; });
  tell(!isUnreachable(answer.status));
  const data = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, data);
  return data;
}
