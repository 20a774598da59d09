"""The peer: FastAPI with scikit-learn as its documentation shows it, on uvicorn with uvloop and httptools.

No key check, no metrics, no input limits beyond types: everything our server does beside answering is left out here.
"""

import sys
from pathlib import Path

import joblib
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class One(BaseModel):
    """One row."""

    features: list[float]


class Many(BaseModel):
    """Many rows."""

    instances: list[list[float]]


def create(path: Path) -> FastAPI:
    """The application, with the estimator loaded."""
    estimator = joblib.load(path)
    app = FastAPI()
    classes = ["malignant", "benign"]

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    async def predict(body: One) -> dict[str, object]:
        (row,) = estimator.predict_proba(np.asarray([body.features], dtype=np.float32))
        return {"prediction": classes[int(row.argmax())], "probability": float(row.max()), "model_version": "bench"}

    @app.post("/predict-many")
    async def predict_many(body: Many) -> dict[str, object]:
        rows = estimator.predict_proba(np.asarray(body.instances, dtype=np.float32))
        labels = [classes[index] for index in rows.argmax(axis=1).tolist()]
        return {"predictions": labels, "probabilities": rows.max(axis=1).tolist(), "model_version": "bench"}

    return app


if __name__ == "__main__":
    uvicorn.run(
        create(Path(sys.argv[1])),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
