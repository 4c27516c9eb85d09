from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0017_scopes_of_tokens'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='second_factor_changes',
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
    ]
