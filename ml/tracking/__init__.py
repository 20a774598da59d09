"""The projection of releases into MLflow. The only place that imports mlflow, and only when it is called."""

from ml.tracking.publish import Publishable, PublishResult, publish

__all__ = ["PublishResult", "Publishable", "publish"]
