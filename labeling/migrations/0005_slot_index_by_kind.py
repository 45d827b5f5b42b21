from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labeling", "0004_import_options_and_prompt_prefixes")]

    operations = [
        migrations.RemoveIndex(model_name="slot", name="slot_open"),
        migrations.AddIndex(
            model_name="slot",
            index=models.Index(
                models.F("project"),
                models.F("kind"),
                models.OrderBy(models.F("priority"), descending=True),
                models.F("task"),
                models.F("number"),
                condition=models.Q(state="open"),
                name="slot_open_by_kind",
            ),
        ),
    ]
