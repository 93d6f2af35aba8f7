variable "name" { type = string }
variable "project_number" { type = string }
variable "billing_account" { type = string }
variable "dollars" { type = number }
variable "emails" { type = set(string) }

resource "google_monitoring_notification_channel" "mail" {
  for_each     = var.emails
  display_name = "${var.name}: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }
}

resource "google_billing_budget" "this" {
  billing_account = var.billing_account
  display_name    = var.name

  amount {
    specified_amount {
      currency_code = "USD"
      units         = tostring(floor(var.dollars))
    }
  }
  budget_filter {
    projects = ["projects/${var.project_number}"]
  }
  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }
  all_updates_rule {
    monitoring_notification_channels = [for channel in google_monitoring_notification_channel.mail : channel.id]
  }
}
