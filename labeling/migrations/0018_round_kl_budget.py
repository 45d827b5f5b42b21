from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0017_run_checkpoint'),
    ]

    operations = [
        migrations.AddField(
            model_name='round',
            name='kl_budget',
            field=models.FloatField(blank=True, help_text="Of its PPO, in nats; NULL: the preset's.", null=True),
        ),
        migrations.AddConstraint(
            model_name='round',
            constraint=models.CheckConstraint(condition=models.Q(('kl_budget__isnull', True), models.Q(('kl_budget__gte', 0), ('kl_budget__lte', 10000)), _connector='OR'), name='round_kl_budget_0_to_10000'),
        ),
    ]
