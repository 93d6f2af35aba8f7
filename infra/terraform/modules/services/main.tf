variable "cluster" {
  description = "Whether a cluster is made."
  type        = bool
}

locals {
  always  = ["artifactregistry", "billingbudgets", "cloudkms", "cloudresourcemanager", "iam", "monitoring", "storage"]
  vertex  = ["aiplatform", "compute", "secretmanager"]
  cluster = ["compute", "container"]
}

resource "google_project_service" "this" {
  for_each           = toset(concat(local.always, var.cluster ? local.cluster : local.vertex))
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}
