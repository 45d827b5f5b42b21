"""The Content-Security-Policy of what is no page."""

from csp import middleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase

HEADER = "Content-Security-Policy"
DATA = "default-src 'none'; frame-ancestors 'none'"  # whoever opens it as a page gets nothing out of it


class Middleware(middleware.CSPMiddleware):  # type: ignore[misc]
    """django-csp's for pages. Data gets the strictest policy there is, which need not be put together each time."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.get("Content-Type", "") != "application/json":
            return super().process_response(request, response)  # type: ignore[no-any-return]
        response.headers.setdefault(HEADER, DATA)
        return response
