// Requests to the labeling API.

export class ApiError extends Error {
  constructor(status, body) {
    super(status === 403 ? "You are logged out. Log in in another window, then send again: your work stays here." : body?.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.errors = body?.errors ?? {};
  }
}

/* The cookie's token first: a log-in in another window has changed it since this page was made. */
function csrfToken(form) {
  return /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? form.elements?.csrfmiddlewaretoken.value;
}

export async function send(form, url, body, { method = "POST", keepalive = false } = {}) {
  const answer = await fetch(url, {
    method,
    keepalive,
    credentials: "same-origin",
    redirect: "error", // a log-in page is no answer
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken(form) },
    body: JSON.stringify(body ?? {}),
  });
  const data = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, data);
  return data;
}
