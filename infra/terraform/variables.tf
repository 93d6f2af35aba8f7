variable "project" {
  description = "Id of the Google Cloud project; it exists and has a billing account."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project's id is 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "Where everything lies, such as us-central1."
  type        = string
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region is a name such as us-central1."
  }
}

variable "target" {
  description = "vertex: Vertex AI brings the machines. gke: a cluster for self-hosted Kubeflow with a node pool for each choice."
  type        = string
  validation {
    condition     = contains(["vertex", "gke"], var.target)
    error_message = "The target is vertex or gke."
  }
}

variable "name" {
  description = "What names of resources begin with."
  type        = string
  default     = "veo"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}$", var.name))
    error_message = "A name is 2 to 15 lower-case letters, digits and hyphens."
  }
}

variable "labels" {
  description = "Put on what can carry labels, and on every job."
  type        = map(string)
  default     = {}
  validation {
    condition = alltrue([
      for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))
    ])
    error_message = "Labels are lower-case letters, digits, _ and -, 63 at most; keys begin with a letter."
  }
}

variable "cpu_pool" {
  description = "Machines of the stages without accelerators."
  type = object({
    machine_type = optional(string, "n2-standard-16")
    disk_gb      = optional(number, 200)
    spot         = optional(bool, true)
    max_nodes    = optional(number, 16)
  })
  default = {}
  validation {
    condition     = can(regex("^[a-z0-9]+-standard-([4-9]|[1-9][0-9]+)$", var.cpu_pool.machine_type))
    error_message = "Curation takes a standard machine type of at least 4 vCPUs, such as n2-standard-16."
  }
  validation {
    condition     = var.cpu_pool.disk_gb >= 100 && var.cpu_pool.disk_gb <= 64000 && var.cpu_pool.max_nodes >= 1
    error_message = "Disks have 100 to 64000 GB, and a pool at least one node."
  }
}

variable "accelerators" {
  description = "Choices of machines with accelerators, the preferred one first; replicas are the machines of one training."
  type = list(object({
    machine_type = string
    replicas     = optional(number, 1)
    tpu_topology = optional(string)
    spot         = optional(bool, true)
    zone         = optional(string)
  }))
  validation {
    condition     = length(var.accelerators) > 0
    error_message = "Name at least one choice."
  }
  validation {
    condition     = alltrue([for choice in var.accelerators : contains(keys(local.machines), choice.machine_type)])
    error_message = "Machine types are ${join(", ", sort(keys(local.machines)))}."
  }
  validation {
    condition = alltrue([
      for choice in var.accelerators : startswith(choice.machine_type, "a3-") == (choice.tpu_topology == null)
    ])
    error_message = "TPU machine types (ct5lp, ct6e) need tpu_topology; GPU machine types take none."
  }
  validation {
    condition = alltrue([
      for choice in var.accelerators : choice.tpu_topology == null ? true : try(
        tonumber(split("x", choice.tpu_topology)[0]) * tonumber(split("x", choice.tpu_topology)[1])
        == choice.replicas * local.machines[choice.machine_type].chips, false
      )
    ])
    error_message = "replicas x chips of a machine must be the product of tpu_topology, such as 4 x 4 = 4x4."
  }
}

variable "submitters" {
  description = "Who may run pipelines as the pipeline's account: members such as user:NAME@DOMAIN or group:NAME@DOMAIN."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for member in var.submitters : can(regex("^(user|group|serviceAccount):[^@\\s]+@[^@\\s]+$", member))])
    error_message = "Members are user:, group: or serviceAccount: and an address; allUsers is none."
  }
}

variable "secrets" {
  description = "Secrets of Secret Manager in this project, which exist, by the environment variable that stages read; vertex only."
  type        = map(string)
  default     = {}
  validation {
    condition = alltrue([
      for variable, secret in var.secrets : can(regex("^[A-Z_][A-Z0-9_]*$", variable)) && can(regex("^[A-Za-z0-9_-]{1,255}$", secret))
    ])
    error_message = "Secrets are such as { OPENAI_API_KEY = \"judge-key\" }: a variable, and the id of a secret."
  }
}

variable "encrypt" {
  description = "Encrypt buckets, images, disks and jobs with a key of your own (CMEK)."
  type        = bool
  default     = true
}

variable "clips_days" {
  description = "Days after which clips that the server made are deleted."
  type        = number
  default     = 30
  validation {
    condition     = var.clips_days >= 1
    error_message = "Clips are kept for at least a day."
  }
}

variable "budget" {
  description = "Dollars a month at which mail is sent, at 50, 90 and 100 %; null for no budget."
  type = object({
    billing_account = string
    dollars         = number
    emails          = optional(set(string), [])
  })
  default = null
  validation {
    condition = var.budget == null ? true : (
      can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.budget.billing_account)) && var.budget.dollars >= 1
    )
    error_message = "A billing account is 012345-678901-ABCDEF, and a budget at least a dollar."
  }
}

variable "admin_networks" {
  description = "Ranges of addresses that may reach the cluster's control plane; gke only."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for range in values(var.admin_networks) : can(cidrhost(range, 0)) && range != "0.0.0.0/0"])
    error_message = "Ranges are such as 203.0.113.0/24; 0.0.0.0/0 would let everybody in."
  }
}
