# terraform output -raw profile > pipelines/profiles/mine.yaml
output "profile" {
  description = "The profile of this project, for make submit PROFILE=FILE or make submit-kfp PROFILE=FILE."
  value       = local.on_gke ? yamlencode(local.kubeflow_profile) : yamlencode(local.vertex_profile)
}

output "image_repository" {
  description = "Where make push pushes images: REPOSITORY=..."
  value       = module.registry.address
}

output "clips_bucket" {
  description = "Where the server writes clips."
  value       = "gs://${module.storage.clips}"
}

# terraform output -raw identities > infra/kubeflow/overlays/gcs/identities.yaml
output "identities" {
  description = "The patch that ties Kubernetes accounts to Google accounts."
  value = join("---\n", [
    for role, email in module.identities.emails : yamlencode({
      apiVersion = "v1"
      kind       = "ServiceAccount"
      metadata = {
        name        = "veo-${role}"
        namespace   = "veo"
        annotations = { "iam.gke.io/gcp-service-account" = email }
      }
    })
  ])
}

# What is null is left out of a profile.
locals {
  vertex_profile = { for key, value in {
    target          = "vertex"
    project         = var.project
    region          = var.region
    bucket          = "gs://${module.storage.store}"
    service_account = module.identities.emails["pipeline"]
    cmek_key        = local.key
    labels          = var.labels
    experiment      = var.name
    secrets         = length(var.secrets) == 0 ? null : var.secrets
    images          = "../../images.lock.json"
    pools = {
      cpu = { for key in ["machine_type", "disk_gb", "spot"] : key => var.cpu_pool[key] }
      accelerator = [
        for choice in var.accelerators : { for key, value in {
          machine_type = choice.machine_type
          accelerator  = local.machines[choice.machine_type].vertex
          count        = local.machines[choice.machine_type].chips
          replicas     = choice.replicas
          tpu_topology = choice.tpu_topology
          scheduling   = choice.spot ? "spot" : "standard"
        } : key => value if value != null }
      ]
    }
  } : key => value if value != null }

  cpu_cores = tonumber(regex("[0-9]+$", var.cpu_pool.machine_type))
  kubeflow_profile = {
    target          = "kubeflow"
    endpoint        = "http://localhost:8888"
    namespace       = "veo"
    root            = "gs://${module.storage.store}"
    experiment      = var.name
    service_account = "veo-pipeline"
    queue           = "veo"
    images          = "../../images.lock.json"
    pools = {
      cpu = {
        cpu           = tostring(local.cpu_cores - 2) # what GKE keeps for itself is less
        memory        = "${floor(local.cpu_cores * 3.5)}Gi"
        node_selector = { "veo/pool" = "cpu" }
      }
      accelerator = [
        for choice in var.accelerators : { for key, value in {
          resource        = choice.tpu_topology == null ? "nvidia.com/gpu" : "google.com/tpu"
          tolerations     = [choice.tpu_topology == null ? "nvidia.com/gpu" : "google.com/tpu"]
          count           = local.machines[choice.machine_type].chips
          nodes           = choice.replicas
          cpu             = tostring(local.machines[choice.machine_type].cpu)
          memory          = "${local.machines[choice.machine_type].memory}Gi"
          tpu_topology    = choice.tpu_topology
          tpu_accelerator = choice.tpu_topology == null ? null : local.machines[choice.machine_type].gke
          node_selector = choice.tpu_topology != null ? null : {
            "cloud.google.com/gke-accelerator" = local.machines[choice.machine_type].gke
          }
        } : key => value if value != null }
      ]
    }
  }
}
