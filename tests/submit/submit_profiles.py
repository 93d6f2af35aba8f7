"""Profiles of the tests, and what the world around them holds."""

from typing import Any

from pipeline_service import NUMBER, PROJECT, REGION

REGISTRY = f"{REGION}-docker.pkg.dev/{PROJECT}/veo"
DIGESTS = {
    name: f"sha256:{number:064x}"
    for number, name in enumerate(("curate", "train-gpu", "train-tpu", "serve"), 1)
}
KEY = f"projects/{PROJECT}/locations/{REGION}/keyRings/veo/cryptoKeys/veo"
VERTEX: dict[str, Any] = {
    "target": "vertex",
    "project": PROJECT,
    "region": REGION,
    "bucket": "gs://veo-bucket/runs",
    "service_account": f"veo-pipeline@{PROJECT}.iam.gserviceaccount.com",
    "network": f"projects/{NUMBER}/global/networks/veo",
    "cmek_key": KEY,
    "labels": {"team": "video"},
    "experiment": "veo",
    "images": "images.lock.json",
    "pools": {
        "cpu": {"machine_type": "n2-standard-16", "spot": True},
        "accelerator": [
            {
                "machine_type": "ct6e-standard-4t",
                "count": 4,
                "replicas": 4,
                "tpu_topology": "4x4",
                "scheduling": "spot",
            },
            {
                "machine_type": "a3-highgpu-8g",
                "accelerator": "NVIDIA_H100_80GB",
                "count": 8,
                "replicas": 2,
                "scheduling": "flex_start",
            },
        ],
    },
}
QUOTAS = {
    "custom_model_training_preemptible_tpu_v6e": 16,
    "custom_model_training_preemptible_nvidia_h100_gpus": 64,
}
SECRETS = {
    "OPENAI_API_KEY": "key-of-the-judge-7f3a9c",
    "AWS_SECRET_ACCESS_KEY": "key-of-the-store-51b2d8",
    "HF_TOKEN": "token-of-the-hub-0c4e6a",
}
KUBEFLOW: dict[str, Any] = {
    "target": "kubeflow",
    "endpoint": "http://localhost:8888",
    "namespace": "veo",
    "root": "s3://veo-bucket/store",
    "experiment": "films",
    "service_account": "veo-pipeline",
    "secrets": [{"name": "veo-store", "env": {"AWS_SECRET_ACCESS_KEY": "secret-key"}}],
    "images": "images.lock.json",
    "pools": {
        "cpu": {"cpu": "14", "memory": "56Gi"},
        "accelerator": [
            {
                "resource": "nvidia.com/gpu",
                "count": 8,
                "cpu": "180",
                "memory": "1600Gi",
                "node_selector": {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
                "tolerations": ["nvidia.com/gpu"],
            }
        ],
    },
}
