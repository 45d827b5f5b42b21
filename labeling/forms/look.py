"""How every form looks: `{{ form }}` renders parts/form.html, `{{ form.name.as_field_group }}` parts/field.html."""

from django.forms.renderers import TemplatesSetting


class Renderer(TemplatesSetting):
    form_template_name = "parts/form.html"
    field_template_name = "parts/field.html"
