# Three accounts: `pipeline` runs the pipeline's steps and registers models, `trainer` is for trainings apart from it,
# `serving` serves. None has a key; each has the rights that its work uses, on the buckets and the repository and not
# on the project where that is possible.

variable "project" { type = string }
variable "region" { type = string }
variable "name" { type = string }
variable "repository" { type = string }
variable "store" { type = string }
variable "clips" { type = string }
variable "submitters" { type = set(string) }
variable "secrets" {
  description = "Ids of the secrets that stages and servers on Vertex AI read."
  type        = set(string)
}
variable "vertex" {
  description = "Whether jobs run on Vertex AI."
  type        = bool
}
variable "identity_pool" {
  description = "The cluster's pool of identities (Workload Identity), PROJECT.svc.id.goog; null without a cluster."
  type        = string
  default     = null
}

locals {
  accounts = {
    pipeline = "Runs the pipeline's steps and registers models"
    trainer  = "Trains models"
    serving  = "Serves models"
  }
  # Rights on buckets: steps and trainings write the store; the server reads it, and writes clips.
  on_buckets = {
    pipeline-store = { account = "pipeline", bucket = var.store, role = "roles/storage.objectUser" }
    trainer-store  = { account = "trainer", bucket = var.store, role = "roles/storage.objectUser" }
    serving-store  = { account = "serving", bucket = var.store, role = "roles/storage.objectViewer" }
    serving-clips  = { account = "serving", bucket = var.clips, role = "roles/storage.objectUser" }
  }
  on_project = merge(
    { for account in keys(local.accounts) : "${account}-logs" => { account = account, role = "roles/logging.logWriter" } },
    var.vertex ? { pipeline-jobs = { account = "pipeline", role = "roles/aiplatform.user" } } : {},
  )
}

resource "google_service_account" "this" {
  for_each     = local.accounts
  account_id   = "${var.name}-${each.key}"
  display_name = each.value
}

resource "google_storage_bucket_iam_member" "this" {
  for_each = local.on_buckets
  bucket   = each.value.bucket
  role     = each.value.role
  member   = google_service_account.this[each.value.account].member
}

resource "google_artifact_registry_repository_iam_member" "pull" {
  for_each   = local.accounts
  repository = var.repository
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.this[each.key].member
}

resource "google_secret_manager_secret_iam_member" "read" {
  for_each = {
    for pair in setproduct(["pipeline", "serving"], var.vertex ? var.secrets : []) :
    join("-", pair) => { account = pair[0], secret = pair[1] }
  }
  project   = var.project
  secret_id = each.value.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this[each.value.account].member
}

resource "google_project_iam_member" "this" {
  for_each = local.on_project
  project  = var.project
  role     = each.value.role
  member   = google_service_account.this[each.value.account].member
}

# A pipeline on Vertex starts its jobs as its own account.
resource "google_service_account_iam_member" "itself" {
  count              = var.vertex ? 1 : 0
  service_account_id = google_service_account.this["pipeline"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this["pipeline"].member
}

resource "google_service_account_iam_member" "submitters" {
  for_each           = var.vertex ? var.submitters : []
  service_account_id = google_service_account.this["pipeline"].name
  role               = "roles/iam.serviceAccountUser"
  member             = each.value
}

resource "google_project_iam_member" "submitters" {
  for_each = var.vertex ? var.submitters : []
  project  = var.project
  role     = "roles/aiplatform.user"
  member   = each.value
}

# The Kubernetes accounts of infra/kubeflow act as the Google accounts of the same role.
resource "google_service_account_iam_member" "kubernetes" {
  for_each           = var.identity_pool == null ? {} : local.accounts
  service_account_id = google_service_account.this[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.identity_pool}[veo/veo-${each.key}]"
}

output "emails" {
  value = { for role, account in google_service_account.this : role => account.email }
}
