"""One sampled answer to a prompt, by one model."""

from django.db import models
from django.db.models import Q

from labeling.models.base import PublicModel
from labeling.models.prompts import Prompt


class Response(PublicModel):
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="responses")
    model = models.ForeignKey("labeling.Model", on_delete=models.PROTECT, related_name="responses")
    sample_index = models.PositiveIntegerField(default=0)
    text = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=20, blank=True)
    run = models.ForeignKey("labeling.Run", null=True, blank=True, on_delete=models.PROTECT, related_name="responses")
    names_itself = models.BooleanField(
        default=False, help_text="The text seems to name its own model; a manager should look before it is ranked."
    )

    num_chars = models.PositiveIntegerField(editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt", "model", "sample_index"], name="response_one_per_sample"),
            models.CheckConstraint(condition=Q(num_chars__gte=0), name="response_num_chars_positive"),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class RenderedResponse(models.Model):
    """A response as HTML that is safe to show, made once for all who see it. A cache: it may be emptied at any time.

    Its table is unlogged, so that it costs next to nothing to write, and is empty after a crash of the database.
    """

    response = models.OneToOneField(Response, primary_key=True, on_delete=models.CASCADE, related_name="rendered")
    version = models.CharField(max_length=16, help_text="Of the renderer; what another one made is not shown.")
    text_md5 = models.CharField(max_length=32, help_text="Of the text that it was made of.")
    html = models.TextField()

    def __str__(self) -> str:
        return self.html[:80]
