from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0016_response_scores'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='checkpoint',
            field=models.JSONField(blank=True, default=dict, help_text='Files of the run directory that another machine can go on from.'),
        ),
    ]
