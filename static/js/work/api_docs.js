// Draws the API's description with Swagger UI. Requests that change something carry the CSRF token.

const place = document.getElementById("api-docs");

SwaggerUIBundle({
  url: `${place.dataset.schema}?format=json`,
  domNode: place,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  validatorUrl: null,
  requestInterceptor(request) {
    if (request.method && request.method !== "GET") request.headers["X-CSRFToken"] = place.dataset.csrf;
    return request;
  },
});
