# terraform apply -var-file=example.tfvars
project = "example-project"
region  = "us-central1"
target  = "vertex" # or gke
labels  = { team = "video" }

submitters = ["group:video@example.com"]

accelerators = [
  { machine_type = "ct6e-standard-4t", replicas = 4, tpu_topology = "4x4", zone = "us-central1-b" },
  { machine_type = "a3-highgpu-8g", replicas = 2, zone = "us-central1-a" },
  { machine_type = "a3-ultragpu-8g", spot = false, zone = "us-central1-b" },
]

budget = {
  billing_account = "012345-678901-ABCDEF"
  dollars         = 2000
  emails          = ["video@example.com"]
}
