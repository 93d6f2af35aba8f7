# A key of the project's own, and the right of Google's services to encrypt with it on the project's behalf.

variable "name" { type = string }
variable "region" { type = string }
variable "project_number" { type = string }
variable "labels" { type = map(string) }
variable "cluster" {
  description = "Whether disks of a cluster's nodes are encrypted, too."
  type        = bool
}

data "google_storage_project_service_account" "this" {}

locals {
  agents = merge(
    {
      storage  = data.google_storage_project_service_account.this.email_address
      registry = "service-${var.project_number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    },
    var.cluster ? {
      disks = "service-${var.project_number}@compute-system.iam.gserviceaccount.com"
      } : {
      vertex = "service-${var.project_number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
      jobs   = "service-${var.project_number}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
    },
  )
}

resource "google_kms_key_ring" "this" {
  name     = var.name
  location = var.region
}

resource "google_kms_crypto_key" "this" {
  name            = var.name
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s" # 90 days
  labels          = var.labels

  lifecycle {
    prevent_destroy = true # what it encrypted would be lost
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each      = local.agents
  crypto_key_id = google_kms_crypto_key.this.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"
}

output "key" {
  description = "Full name of the key, once the services may use it."
  value       = google_kms_crypto_key.this.id
  depends_on  = [google_kms_crypto_key_iam_member.agents]
}
