import os

# ONNX Runtime's wheel uploads telemetry to its vendor unless this is set before it is imported (seen with 1.32.0: a
# thread at import and a device id in the cache folder). No code of ours may call out, so the package says it first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
