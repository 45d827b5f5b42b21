"""One's own keys of the work pages."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from labeling.forms.keys import KeysForm
from labeling.services import keys as service
from labeling.views.frame import PersonRequest


@require_http_methods(["GET", "POST"])
def keys(request: PersonRequest) -> HttpResponse:
    if "reset" in request.POST:
        service.reset(user=request.user)
        messages.success(request, "All keys are as they were in the beginning.")
        return redirect("keys")
    form = KeysForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid() and form.save():
        messages.success(request, "Your keys are saved.")
        return redirect("keys")
    context = {"form": form, "nav": "me", "help": service.of(request.user)["help"]}
    return render(request, "people/keys.html", context, status=422 if form.is_bound else 200)
