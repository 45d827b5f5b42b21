"""Scores of responses by reward models; snapshots of responses, and the stages that score and draw learning curves."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0015_human_evaluation'),
    ]

    operations = [
        migrations.CreateModel(
            name='ResponseScore',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('score', models.FloatField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='response_scores', to='labeling.model')),
                ('response', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='scores', to='labeling.response')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='response_scores', to='labeling.run')),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('response', 'model'), name='response_score_one_per_model'),
                    models.CheckConstraint(condition=models.Q(('score__gte', -1e+30), ('score__lte', 1e+30)), name='response_score_is_a_number'),
                ],
            },
        ),
        migrations.RemoveConstraint(model_name='run', name='run_stage_known'),
        migrations.AlterField(
            model_name='run',
            name='stage',
            field=models.CharField(choices=[('sft', 'SFT'), ('reward', 'Reward model'), ('ppo', 'PPO'), ('generate', 'Generate'), ('evaluate', 'Evaluate'), ('score', 'Score responses'), ('curve', 'Learning curve'), ('fetch', 'Import a model'), ('talk', 'Talk')], max_length=8),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('stage__in', ['sft', 'reward', 'ppo', 'generate', 'evaluate', 'score', 'curve', 'fetch', 'talk'])), name='run_stage_known'),
        ),
        migrations.RemoveConstraint(model_name='snapshot', name='snapshot_kind_known'),
        migrations.AlterField(
            model_name='snapshot',
            name='kind',
            field=models.CharField(choices=[('reward', 'Rankings for the reward model'), ('sft', 'Demonstrations for SFT'), ('prompts', 'Prompts for PPO'), ('text', 'Pretraining text'), ('responses', 'Responses to score')], max_length=9),
        ),
        migrations.AddConstraint(
            model_name='snapshot',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['reward', 'sft', 'prompts', 'text', 'responses'])), name='snapshot_kind_known'),
        ),
    ]
