"""The page of workers: who is here to do the jobs, and what waits for them."""

from django.db.models import Min
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from labeling.models import Role, Run
from labeling.permissions import ProjectRequest, member
from labeling.services import workers


@require_GET
@member(Role.REVIEWER)
def show(request: ProjectRequest) -> HttpResponse:
    seen = workers.all_seen()
    queued = Run.objects.filter(state=Run.State.QUEUED)
    context = {
        "nav": "runs",
        "seen": seen,
        "num_queued": queued.count(),
        "waiting_since": queued.aggregate(since=Min("queued_at"))["since"],
        "has_gpu_worker": any(one.state == workers.HERE and "gpu" in one.worker.queues for one in seen),
    }
    part = "runs/parts/workers.html" if request.headers.get("HX-Request") else "runs/workers.html"
    return render(request, part, context)
