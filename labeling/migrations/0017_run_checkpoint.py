from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0013_workers'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='checkpoint',
            field=models.JSONField(blank=True, default=dict, help_text='Files of the run directory that another machine can go on from.'),
        ),
    ]
