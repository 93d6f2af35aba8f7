# The registry of images. Tags cannot be moved: an image is what its digest says.

variable "name" { type = string }
variable "region" { type = string }
variable "labels" { type = map(string) }
variable "key" {
  type    = string
  default = null
}

resource "google_artifact_registry_repository" "this" {
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  kms_key_name  = var.key
  labels        = var.labels

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s" # 30 days
    }
  }
}

output "name" { value = google_artifact_registry_repository.this.name }
output "address" {
  value = "${var.region}-docker.pkg.dev/${google_artifact_registry_repository.this.project}/${google_artifact_registry_repository.this.repository_id}"
}
