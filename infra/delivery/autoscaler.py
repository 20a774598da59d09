"""A slot's HorizontalPodAutoscaler: fast up, slow down, and not down at all while the traffic may come back."""

from typing import Final

from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.autoscaling.v2 import (
    CrossVersionObjectReferenceArgs,
    HorizontalPodAutoscalerBehaviorArgs,
    HorizontalPodAutoscalerSpecArgs,
    HPAScalingPolicyArgs,
    HPAScalingRulesArgs,
    MetricSpecArgs,
    MetricTargetArgs,
    ResourceMetricSourceArgs,
)

from infra.analysis_settings import AnalysisSettings
from infra.autoscaling_settings import AutoscalingSettings
from infra.delivery.jobs import SPARE_S

WARM_S: Final = 600
"""A person who rolls back does it within minutes: an alert takes five to fire."""
LONGEST_WINDOW_S: Final = 3600
"""Kubernetes allows no more."""
DOWN_PERCENT: Final = 10
STEP_S: Final = 60


def warm_s(analysis: AnalysisSettings) -> int:
    """How long a slot keeps its size without load: as long as the analysis may give the traffic back, and ten minutes.

    An analysis of an hour outlasts it by its two minutes of start, in which two steps down fit.
    """
    watched = analysis.promise.seconds + SPARE_S if analysis.enabled else 0
    return min(max(WARM_S, watched), LONGEST_WINDOW_S)


def autoscaler_spec(of: Deployment, scaling: AutoscalingSettings, warm: int) -> HorizontalPodAutoscalerSpecArgs:
    """What the autoscaler of a slot's Deployment does; `warm` is from `warm_s`."""
    return HorizontalPodAutoscalerSpecArgs(
        scale_target_ref=CrossVersionObjectReferenceArgs(
            api_version="apps/v1",
            kind="Deployment",
            name=of.metadata.apply(lambda metadata: str(metadata.name)),
        ),
        min_replicas=scaling.min,
        max_replicas=scaling.max,
        metrics=[
            MetricSpecArgs(
                type="Resource",
                resource=ResourceMetricSourceArgs(
                    name="cpu",
                    target=MetricTargetArgs(type="Utilization", average_utilization=scaling.cpu),
                ),
            ),
        ],
        behavior=_behavior(warm),
    )


def _behavior(warm: int) -> HorizontalPodAutoscalerBehaviorArgs:
    down = HPAScalingPolicyArgs(type="Percent", value=DOWN_PERCENT, period_seconds=STEP_S)
    # Kubernetes' own default, said here because the other half is not.
    up = [
        HPAScalingPolicyArgs(type="Percent", value=100, period_seconds=15),
        HPAScalingPolicyArgs(type="Pods", value=4, period_seconds=15),
    ]
    return HorizontalPodAutoscalerBehaviorArgs(
        scale_down=HPAScalingRulesArgs(stabilization_window_seconds=warm, select_policy="Max", policies=[down]),
        scale_up=HPAScalingRulesArgs(stabilization_window_seconds=0, select_policy="Max", policies=up),
    )
