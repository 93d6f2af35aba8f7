# The store of the pipeline, and a bucket for clips that the server makes.

variable "project" { type = string }
variable "region" { type = string }
variable "name" { type = string }
variable "labels" { type = map(string) }
variable "clips_days" { type = number }
variable "key" {
  description = "Full name of the key that encrypts both; null for Google's own."
  type        = string
  default     = null
}

resource "google_storage_bucket" "store" {
  name                        = "${var.project}-${var.name}-store"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = var.labels

  # Objects are named by their content and never change; what `veo forget` removed is gone for good after a week.
  soft_delete_policy {
    retention_duration_seconds = 604800
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }

  dynamic "encryption" {
    for_each = var.key[*]
    content {
      default_kms_key_name = encryption.value
    }
  }
}

resource "google_storage_bucket" "clips" {
  name                        = "${var.project}-${var.name}-clips"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = var.labels

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.clips_days
    }
  }

  dynamic "encryption" {
    for_each = var.key[*]
    content {
      default_kms_key_name = encryption.value
    }
  }
}

output "store" { value = google_storage_bucket.store.name }
output "clips" { value = google_storage_bucket.clips.name }
