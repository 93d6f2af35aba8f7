# What a run of the pipeline needs in a Google Cloud project: APIs, a key, buckets, a registry of images, accounts with
# the rights that they use, a budget, and for self-hosted Kubeflow a cluster.

locals {
  # Machine types with accelerators: chips of one machine, and what Vertex AI and GKE call them.
  machines = {
    a3-highgpu-8g    = { chips = 8, vertex = "NVIDIA_H100_80GB", gke = "nvidia-h100-80gb", cpu = 180, memory = 1600 }
    a3-ultragpu-8g   = { chips = 8, vertex = "NVIDIA_H200_141GB", gke = "nvidia-h200-141gb", cpu = 200, memory = 2600 }
    ct5lp-hightpu-1t = { chips = 1, vertex = null, gke = "tpu-v5-lite-podslice", cpu = 20, memory = 40 }
    ct5lp-hightpu-4t = { chips = 4, vertex = null, gke = "tpu-v5-lite-podslice", cpu = 100, memory = 170 }
    ct5lp-hightpu-8t = { chips = 8, vertex = null, gke = "tpu-v5-lite-podslice", cpu = 200, memory = 340 }
    ct6e-standard-1t = { chips = 1, vertex = null, gke = "tpu-v6e-slice", cpu = 40, memory = 150 }
    ct6e-standard-4t = { chips = 4, vertex = null, gke = "tpu-v6e-slice", cpu = 160, memory = 640 }
    ct6e-standard-8t = { chips = 8, vertex = null, gke = "tpu-v6e-slice", cpu = 160, memory = 1300 }
  }
  on_gke = var.target == "gke"
  key    = one(module.encryption[*].key)
}

module "services" {
  source  = "./modules/services"
  cluster = local.on_gke
}

data "google_project" "this" {
  depends_on = [module.services]
}

module "encryption" {
  source         = "./modules/encryption"
  count          = var.encrypt ? 1 : 0
  name           = var.name
  region         = var.region
  project_number = data.google_project.this.number
  cluster        = local.on_gke
  labels         = var.labels
}

module "storage" {
  source     = "./modules/storage"
  project    = var.project
  region     = var.region
  name       = var.name
  key        = local.key
  clips_days = var.clips_days
  labels     = var.labels
  depends_on = [module.services]
}

module "registry" {
  source     = "./modules/registry"
  name       = var.name
  region     = var.region
  key        = local.key
  labels     = var.labels
  depends_on = [module.services]
}

module "identities" {
  source        = "./modules/identities"
  project       = var.project
  region        = var.region
  name          = var.name
  repository    = module.registry.name
  store         = module.storage.store
  clips         = module.storage.clips
  vertex        = !local.on_gke
  submitters    = var.submitters
  secrets       = toset(values(var.secrets))
  identity_pool = one(module.cluster[*].identity_pool)
}

module "network" {
  source     = "./modules/network"
  count      = local.on_gke ? 1 : 0
  name       = var.name
  region     = var.region
  depends_on = [module.services]
}

module "cluster" {
  source         = "./modules/cluster"
  count          = local.on_gke ? 1 : 0
  project        = var.project
  region         = var.region
  name           = var.name
  network        = module.network[0].network
  subnetwork     = module.network[0].subnetwork
  repository     = module.registry.name
  key            = local.key
  labels         = var.labels
  admin_networks = var.admin_networks
  cpu_pool       = var.cpu_pool
  accelerators = [
    for choice in var.accelerators : merge(choice, {
      chips = local.machines[choice.machine_type].chips
      gpu   = local.machines[choice.machine_type].vertex == null ? null : local.machines[choice.machine_type].gke
    })
  ]
}

module "budget" {
  source          = "./modules/budget"
  count           = var.budget == null ? 0 : 1
  name            = var.name
  project_number  = data.google_project.this.number
  billing_account = var.budget.billing_account
  dollars         = var.budget.dollars
  emails          = var.budget.emails
  depends_on      = [module.services]
}
