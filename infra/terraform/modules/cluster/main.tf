# A GKE cluster with a pool for curation and one for each choice of accelerators; all of these shrink to nothing.
# GKE itself taints nodes with accelerators: nvidia.com/gpu and google.com/tpu.

variable "project" { type = string }
variable "region" { type = string }
variable "name" { type = string }
variable "network" { type = string }
variable "subnetwork" { type = string }
variable "repository" { type = string }
variable "labels" { type = map(string) }
variable "admin_networks" { type = map(string) }
variable "key" {
  type    = string
  default = null
}
variable "cpu_pool" {
  type = object({ machine_type = string, disk_gb = number, spot = bool, max_nodes = number })
}
variable "accelerators" {
  description = "Choices of machines; `gpu` is GKE's name of the GPU, null for TPUs."
  type = list(object({
    machine_type = string
    replicas     = number
    chips        = number
    gpu          = optional(string)
    tpu_topology = optional(string)
    spot         = bool
    zone         = optional(string)
  }))
  validation {
    condition     = alltrue([for choice in var.accelerators : choice.zone != null])
    error_message = "On gke each choice needs a zone: accelerators are in few of a region's zones."
  }
}

resource "google_service_account" "nodes" {
  account_id   = "${var.name}-nodes"
  display_name = "Nodes of the cluster"
}

resource "google_project_iam_member" "nodes" {
  project = var.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.nodes.member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  repository = var.repository
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}

resource "google_container_cluster" "this" {
  name                     = var.name
  location                 = var.region
  network                  = var.network
  subnetwork               = var.subnetwork
  remove_default_node_pool = true
  initial_node_count       = 1
  datapath_provider        = "ADVANCED_DATAPATH" # network policies hold
  enable_shielded_nodes    = true
  deletion_protection      = true
  resource_labels          = var.labels

  release_channel {
    channel = "REGULAR"
  }
  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }
  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }
  private_cluster_config {
    enable_private_nodes   = true
    master_ipv4_cidr_block = "172.16.0.0/28"
  }
  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.admin_networks
      content {
        display_name = cidr_blocks.key
        cidr_block   = cidr_blocks.value
      }
    }
  }
}

resource "google_container_node_pool" "system" {
  name       = "system"
  cluster    = google_container_cluster.this.id
  node_count = 1

  node_config {
    machine_type      = "n2-standard-4"
    service_account   = google_service_account.nodes.email
    oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
    boot_disk_kms_key = var.key
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

resource "google_container_node_pool" "cpu" {
  name    = "cpu"
  cluster = google_container_cluster.this.id

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = var.cpu_pool.max_nodes
    location_policy      = "ANY"
  }
  node_config {
    machine_type      = var.cpu_pool.machine_type
    disk_size_gb      = var.cpu_pool.disk_gb
    spot              = var.cpu_pool.spot
    service_account   = google_service_account.nodes.email
    oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
    boot_disk_kms_key = var.key
    labels            = { "veo/pool" = "cpu" }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

resource "google_container_node_pool" "accelerator" {
  for_each       = { for index, choice in var.accelerators : "${index}-${choice.machine_type}" => choice }
  name           = "pool-${each.key}"
  cluster        = google_container_cluster.this.id
  node_locations = [each.value.zone]

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = each.value.replicas
    location_policy      = "ANY"
  }

  # TPU hosts that make one slice come and go together.
  dynamic "placement_policy" {
    for_each = each.value.replicas > 1 ? each.value.tpu_topology[*] : []
    content {
      type         = "COMPACT"
      tpu_topology = placement_policy.value
    }
  }

  node_config {
    machine_type      = each.value.machine_type
    disk_size_gb      = 500
    spot              = each.value.spot
    service_account   = google_service_account.nodes.email
    oauth_scopes      = ["https://www.googleapis.com/auth/cloud-platform"]
    boot_disk_kms_key = var.key

    dynamic "guest_accelerator" {
      for_each = each.value.gpu[*]
      content {
        type  = guest_accelerator.value
        count = each.value.chips
        gpu_driver_installation_config {
          gpu_driver_version = "DEFAULT"
        }
      }
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

output "identity_pool" { value = google_container_cluster.this.workload_identity_config[0].workload_pool }
