from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from training.access import ResearchersOf
from training.api import datasets, external, models, rounds, runs
from training.models import Policy, RewardModel

urlpatterns: list[URLPattern | URLResolver] = [
    path("projects/<slug:slug>/rounds/", rounds.Rounds.as_view(), name="api-rounds"),
    path("projects/<slug:slug>/rounds/estimate/", rounds.RoundEstimate.as_view(), name="api-round-estimate"),
    path("projects/<slug:slug>/rounds/automatic/", rounds.Automatic.as_view(), name="api-rounds-automatic"),
    path("projects/<slug:slug>/runs/", runs.Runs.as_view(), name="api-runs"),
    path("projects/<slug:slug>/curves/", runs.Curves.as_view(), name="api-curves"),
    path("projects/<slug:slug>/policies/", models.Policies.as_view(), name="api-policies"),
    path("projects/<slug:slug>/reward-models/", models.RewardModels.as_view(), name="api-reward-models"),
    path("projects/<slug:slug>/datasets/", datasets.Datasets.as_view(), name="api-datasets"),
    path("projects/<slug:slug>/lineage/<str:kind>/<int:number>/", datasets.Lineage.as_view(), name="api-lineage"),
    path("rounds/<int:pk>/", rounds.OneRound.as_view(), name="api-round"),
    path("rounds/<int:pk>/cancel/", rounds.RoundVerb.as_view(verb="cancel"), name="api-round-cancel"),
    path("rounds/<int:pk>/publish/", rounds.RoundVerb.as_view(verb="publish"), name="api-round-publish"),
    path("rounds/<int:pk>/decision/", rounds.RoundDecision.as_view(), name="api-round-decision"),
    path("rounds/<int:pk>/retry/", rounds.RoundVerb.as_view(verb="retry"), name="api-round-retry"),
    path("runs/<int:pk>/", runs.OneRun.as_view(), name="api-run"),
    path("runs/<int:pk>/metrics/", runs.RunMetrics.as_view(), name="api-run-metrics"),
    path("runs/<int:pk>/cancel/", runs.RunVerb.as_view(verb="cancel"), name="api-run-cancel"),
    path("runs/<int:pk>/retry/", runs.RunVerb.as_view(verb="retry"), name="api-run-retry"),
    path("projects/<slug:slug>/external-models/", external.ExternalModels.as_view(), name="api-external-models"),
    path("external-models/<int:pk>/", external.OneExternalModel.as_view(), name="api-external-model"),
    path("external-models/<int:pk>/check/", external.CheckExternalModel.as_view(), name="api-external-model-check"),
    path("projects/<slug:slug>/outputs/", external.OutputRequests.as_view(), name="api-outputs"),
    path("outputs/<int:pk>/", external.OneOutputRequest.as_view(), name="api-output-request"),
    path("outputs/<int:pk>/cancel/", external.CancelOutputRequest.as_view(), name="api-output-request-cancel"),
    path("policies/<int:pk>/", models.OnePolicy.as_view(), name="api-policy"),
    path("policies/<int:pk>/put-back/", models.PutBack.as_view(), name="api-policy-put-back"),
    path("policies/<int:pk>/evaluate/", models.EvaluatePolicy.as_view(), name="api-policy-evaluate"),
    path(
        "policies/<int:pk>/archive/", models.Archive.as_view(audience=ResearchersOf(Policy)), name="api-policy-archive"
    ),
    path("policies/<int:pk>/pushes/", models.Pushes.as_view(audience=ResearchersOf(Policy)), name="api-policy-pushes"),
    path(
        "reward-models/<int:pk>/pushes/",
        models.Pushes.as_view(audience=ResearchersOf(RewardModel)),
        name="api-reward-model-pushes",
    ),
    path(
        "reward-models/<int:pk>/archive/",
        models.Archive.as_view(audience=ResearchersOf(RewardModel)),
        name="api-reward-model-archive",
    ),
    path(
        "reward-models/<int:pk>/evaluate/",
        models.EvaluateRewardModel.as_view(),
        name="api-reward-model-evaluate",
    ),
    path("reward-models/<int:pk>/", models.OneRewardModel.as_view(), name="api-reward-model"),
    path("datasets/<int:pk>/", datasets.OneDataset.as_view(), name="api-dataset"),
    path("datasets/<int:pk>/compare/<int:other>/", datasets.DatasetDifference.as_view(), name="api-dataset-compare"),
]
