from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from training.views import automatic, comparing, curves, datasets, external, models, reports, rounds, runs

urlpatterns: list[URLPattern | URLResolver] = [
    path("projects/<slug:slug>/rounds/", rounds.index, name="rounds"),
    path("projects/<slug:slug>/rounds/automatic/", automatic.rule, name="rounds-automatic"),
    path("projects/<slug:slug>/rounds/<int:number>/", rounds.detail, name="round"),
    path("projects/<slug:slug>/rounds/<int:number>/cancel/", rounds.cancel, name="round-cancel"),
    path("projects/<slug:slug>/rounds/<int:number>/retry/", rounds.retry, name="round-retry"),
    path("projects/<slug:slug>/rounds/<int:number>/publish/", rounds.publish, name="round-publish"),
    path("runs/<int:pk>/", runs.detail, name="run"),
    path("runs/<int:pk>/cancel/", runs.cancel, name="run-cancel"),
    path("runs/<int:pk>/retry/", runs.retry, name="run-retry"),
    path("projects/<slug:slug>/curves/", curves.compare, name="curves"),
    path("projects/<slug:slug>/models/", models.index, name="models"),
    path("projects/<slug:slug>/models/compare/", comparing.compare, name="models-compare"),
    path("projects/<slug:slug>/models/compare.csv", comparing.as_file, name="models-compare-file"),
    path("projects/<slug:slug>/models/report.html", reports.as_html, name="models-report"),
    path("projects/<slug:slug>/models/report.zip", reports.as_markdown, name="models-report-zip"),
    path("projects/<slug:slug>/external-models/", external.models, name="external-models"),
    path("external-models/<int:pk>/", external.model, name="external-model"),
    path("external-models/<int:pk>/check/", external.check, name="external-model-check"),
    path("external-models/<int:pk>/remove/", external.remove, name="external-model-remove"),
    path("projects/<slug:slug>/outputs/", external.outputs, name="outputs"),
    path("outputs/<int:pk>/", external.output_request, name="output-request"),
    path("outputs/<int:pk>/cancel/", external.cancel, name="output-request-cancel"),
    path("policies/<int:pk>/", models.policy, name="policy"),
    path("policies/<int:pk>/put-back/", models.put_back, name="policy-put-back"),
    path("policies/<int:pk>/evaluate/", models.evaluate, name="policy-evaluate"),
    path("policies/<int:pk>/archive/", models.policy_archive, name="policy-archive"),
    path("reward-models/<int:pk>/", models.reward_model, name="reward-model"),
    path("reward-models/<int:pk>/evaluate/", models.evaluate_reward_model, name="reward-model-evaluate"),
    path("reward-models/<int:pk>/bias/", models.bias, name="reward-model-bias"),
    path("reward-models/<int:pk>/archive/", models.reward_model_archive, name="reward-model-archive"),
    path("projects/<slug:slug>/datasets/", datasets.index, name="datasets"),
    path("datasets/<int:pk>/", datasets.detail, name="dataset"),
    path("datasets/<int:pk>/compare/", datasets.difference, name="dataset-compare"),
    path("datasets/<int:pk>/files/<str:name>", datasets.file, name="dataset-file"),
]
