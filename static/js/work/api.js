// Requests to the labeling API. The CSRF token is the form's own.

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.errors = body?.errors ?? {};
  }
}

export async function send(form, url, body, { method = "POST", keepalive = false } = {}) {
  const answer = await fetch(url, {
    method,
    keepalive,
    credentials: "same-origin",
    redirect: "error", // a log-in page is no answer
    headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
    body: JSON.stringify(body ?? {}),
  });
  const data = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, data);
  return data;
}
