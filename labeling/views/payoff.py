"""Does choosing what to rank pay? The two streams, the run that measures it, and its curves."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from labeling.forms.scores import CurveForm
from labeling.models import Role
from labeling.permissions import ProjectRequest, member
from labeling.services.scores import payoff
from labeling.services.scores.payoff import PayoffError
from labeling.views.runs import as_uid
from training.contract.configs import ConfigError


@require_safe
@member(Role.MANAGER)
def show(request: ProjectRequest) -> HttpResponseBase:
    return _show(request, CurveForm(project=request.project, initial={"idempotency_key": uuid.uuid4().hex}))


def _show(request: ProjectRequest, form: CurveForm, status: int = 200) -> HttpResponseBase:
    state = payoff.state(request.project)
    asked = as_uid(request.GET.get("run", ""))
    shown = next((curve for curve in state.curves if curve.run.uid == asked), next(iter(state.curves), None))
    context: dict[str, Any] = {"nav": "quality", "tab": "payoff", "state": state, "curve": shown, "form": form}
    return render(request, "quality/payoff.html", context, status=status)


@require_POST
@member(Role.MANAGER)
def freeze(request: ProjectRequest) -> HttpResponseBase:
    try:
        payoff.freeze(project=request.project, user=request.user)
    except PayoffError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Both streams are being frozen. It takes a moment.")
    return redirect("payoff", request.project.slug)


@require_POST
@member(Role.MANAGER)
def start(request: ProjectRequest) -> HttpResponseBase:
    form = CurveForm(request.POST, project=request.project)
    if not form.is_valid():
        return _show(request, form, status=422)
    given = form.cleaned_data
    try:
        run = payoff.start(
            project=request.project,
            model=given["model"],
            preset=given["preset"],
            num_seeds=given["num_seeds"],
            key=given["idempotency_key"],
            user=request.user,
        )
    except (PayoffError, ConfigError) as error:
        messages.error(request, str(error))
        return redirect("payoff", request.project.slug)
    return redirect("run", request.project.slug, run.uid)
