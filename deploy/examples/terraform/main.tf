# signup-sync as CloudFormation stacks of Terraform, made of the templates as they are: docs/terraform-and-cdk.md.
#
# Any other parameter of a template is a line in its stack's `parameters`.

terraform {
  required_version = ">= 1.4"
  required_providers {
    aws     = { source = "hashicorp/aws", version = ">= 5.0" }
    archive = { source = "hashicorp/archive", version = ">= 2.4" }
  }
}

variable "environment" {
  type    = string
  default = "prod"
}

variable "region" {
  type    = string
  default = "us-east-1"
}

variable "image" {
  type        = string
  description = "The image that you have built and pushed, with its tag or digest"
}

variable "alarm_email" {
  type    = string
  default = ""
}

variable "reconcile_changes" {
  type        = string
  default     = "false"
  description = "Whether the nightly reconciliation also follows changes of profiles"
}

provider "aws" {
  region = var.region
}

locals {
  repository   = "${path.module}/../../.."
  templates    = "${local.repository}/deploy/stacks"
  name         = "signup-sync-${var.environment}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
}

data "aws_prefix_list" "s3" {
  name = "com.amazonaws.${var.region}.s3"
}

resource "aws_cloudformation_stack" "artifacts" {
  name          = "${local.name}-artifacts"
  template_body = file("${local.templates}/artifacts.yaml")
  parameters = {
    Environment = var.environment
  }
}

data "archive_file" "trigger" {
  type        = "zip"
  output_path = "${path.module}/trigger.zip"

  source {
    filename = "trigger_lambda/__init__.py"
    content  = file("${local.repository}/trigger_lambda/__init__.py")
  }
  source {
    filename = "trigger_lambda/handler.py"
    content  = file("${local.repository}/trigger_lambda/handler.py")
  }
}

resource "aws_s3_object" "trigger" {
  bucket = aws_cloudformation_stack.artifacts.outputs["ArtifactsBucket"]
  key    = "trigger/${data.archive_file.trigger.output_sha256}.zip" # another name for other code, which is how it is noticed
  source = data.archive_file.trigger.output_path
}

resource "aws_cloudformation_stack" "network" {
  name          = "${local.name}-network"
  template_body = file("${local.templates}/network.yaml")
  capabilities  = local.capabilities
  parameters = {
    Environment    = var.environment
    S3PrefixListId = data.aws_prefix_list.s3.id
  }
}

resource "aws_cloudformation_stack" "queues" {
  name          = "${local.name}-queues"
  template_body = file("${local.templates}/queues.yaml")
  capabilities  = local.capabilities
  parameters = {
    Environment = var.environment
  }
}

resource "aws_cloudformation_stack" "database" {
  name               = "${local.name}-database"
  template_body      = file("${local.templates}/database.yaml")
  capabilities       = local.capabilities
  timeout_in_minutes = 60
  parameters = {
    Environment             = var.environment
    SubnetIds               = aws_cloudformation_stack.network.outputs["SubnetIds"]
    DatabaseSecurityGroupId = aws_cloudformation_stack.network.outputs["DatabaseSecurityGroupId"]
    ReconcileChanges        = var.reconcile_changes
  }
}

resource "aws_cloudformation_stack" "sign_up" {
  name          = "${local.name}-sign-up"
  template_body = file("${local.templates}/sign-up.yaml")
  capabilities  = local.capabilities
  parameters = {
    Environment     = var.environment
    QueueUrl        = aws_cloudformation_stack.queues.outputs["QueueUrl"]
    QueueArn        = aws_cloudformation_stack.queues.outputs["QueueArn"]
    ArtifactsBucket = aws_s3_object.trigger.bucket
    LambdaKey       = aws_s3_object.trigger.key
  }
}

resource "aws_cloudformation_stack" "tasks" {
  name          = "${local.name}-tasks"
  template_body = file("${local.templates}/tasks.yaml")
  capabilities  = local.capabilities
  parameters = {
    Environment        = var.environment
    Image              = var.image
    QueueUrl           = aws_cloudformation_stack.queues.outputs["QueueUrl"]
    QueueArn           = aws_cloudformation_stack.queues.outputs["QueueArn"]
    ActivitiesQueueUrl = aws_cloudformation_stack.queues.outputs["ActivitiesQueueUrl"]
    ActivitiesQueueArn = aws_cloudformation_stack.queues.outputs["ActivitiesQueueArn"]
    DlqUrl             = aws_cloudformation_stack.queues.outputs["DlqUrl"]
    DlqArn             = aws_cloudformation_stack.queues.outputs["DlqArn"]
    UserPoolId         = aws_cloudformation_stack.sign_up.outputs["UserPoolId"]
    DatabaseAddress    = aws_cloudformation_stack.database.outputs["DatabaseAddress"]
    DatabaseResourceId = aws_cloudformation_stack.database.outputs["DatabaseResourceId"]
    OwnerSecretArn     = aws_cloudformation_stack.database.outputs["OwnerSecretArn"]
    WorkerSecretArn    = aws_cloudformation_stack.database.outputs["WorkerSecretArn"]
    ReconcileChanges   = var.reconcile_changes
  }
}

# Before workers of this version run; again with each new version.
resource "terraform_data" "migration" {
  triggers_replace = [aws_cloudformation_stack.tasks.outputs["OwnerTaskArn"], var.reconcile_changes]

  provisioner "local-exec" {
    command = "${local.repository}/deploy/examples/migrate \"$CLUSTER\" \"$TASK\" \"$SUBNETS\" \"$GROUP\" secret \"$PUBLIC_IP\" \"$CHANGES\""
    environment = {
      AWS_REGION = var.region
      CLUSTER    = aws_cloudformation_stack.tasks.outputs["ClusterName"]
      TASK       = aws_cloudformation_stack.tasks.outputs["OwnerTaskArn"]
      SUBNETS    = aws_cloudformation_stack.network.outputs["SubnetIds"]
      GROUP      = aws_cloudformation_stack.network.outputs["WorkerSecurityGroupId"]
      PUBLIC_IP  = aws_cloudformation_stack.network.outputs["AssignPublicIp"]
      CHANGES    = var.reconcile_changes
    }
  }
}

resource "aws_cloudformation_stack" "service" {
  name          = "${local.name}-service"
  template_body = file("${local.templates}/service.yaml")
  capabilities  = local.capabilities
  depends_on    = [terraform_data.migration]
  parameters = {
    Environment           = var.environment
    ClusterName           = aws_cloudformation_stack.tasks.outputs["ClusterName"]
    ClusterArn            = aws_cloudformation_stack.tasks.outputs["ClusterArn"]
    WorkerTaskArn         = aws_cloudformation_stack.tasks.outputs["WorkerTaskArn"]
    ReconcileTaskArn      = aws_cloudformation_stack.tasks.outputs["ReconcileTaskArn"]
    ExecutionRoleArn      = aws_cloudformation_stack.tasks.outputs["ExecutionRoleArn"]
    ReconcileRoleArn      = aws_cloudformation_stack.tasks.outputs["ReconcileRoleArn"]
    SubnetIds             = aws_cloudformation_stack.network.outputs["SubnetIds"]
    WorkerSecurityGroupId = aws_cloudformation_stack.network.outputs["WorkerSecurityGroupId"]
    QueueName             = aws_cloudformation_stack.queues.outputs["QueueName"]
    ActivitiesQueueName   = aws_cloudformation_stack.queues.outputs["ActivitiesQueueName"]

    AssignPublicIp           = aws_cloudformation_stack.network.outputs["AssignPublicIp"]
    ReconcileSubnetIds       = aws_cloudformation_stack.network.outputs["ReconcileSubnetIds"]
    ReconcileSecurityGroupId = aws_cloudformation_stack.network.outputs["ReconcileSecurityGroupId"]
    ReconcileAssignPublicIp  = aws_cloudformation_stack.network.outputs["ReconcileAssignPublicIp"]
  }
}

resource "aws_cloudformation_stack" "rotation" {
  name          = "${local.name}-rotation"
  template_body = file("${local.templates}/rotation.yaml")
  capabilities  = local.capabilities
  depends_on    = [terraform_data.migration]
  parameters = {
    SubnetIds               = aws_cloudformation_stack.network.outputs["SubnetIds"]
    RotationSecurityGroupId = aws_cloudformation_stack.network.outputs["RotationSecurityGroupId"]
    WorkerSecretArn         = aws_cloudformation_stack.database.outputs["WorkerSecretArn"]
  }
}

resource "aws_cloudformation_stack" "deletions" {
  name          = "${local.name}-deletions"
  template_body = file("${local.templates}/deletions.yaml")
  capabilities  = local.capabilities
  depends_on    = [aws_cloudformation_stack.service]
  parameters = {
    Environment = var.environment
    QueueArn    = aws_cloudformation_stack.queues.outputs["QueueArn"]
    UserPoolId  = aws_cloudformation_stack.sign_up.outputs["UserPoolId"]
  }
}

resource "aws_cloudformation_stack" "alarms" {
  name          = "${local.name}-alarms"
  template_body = file("${local.templates}/alarms.yaml")
  capabilities  = local.capabilities
  parameters = {
    Environment              = var.environment
    AlarmEmail               = var.alarm_email
    QueueName                = aws_cloudformation_stack.queues.outputs["QueueName"]
    ActivitiesQueueName      = aws_cloudformation_stack.queues.outputs["ActivitiesQueueName"]
    DlqName                  = aws_cloudformation_stack.queues.outputs["DlqName"]
    UndeliveredDeletionsName = aws_cloudformation_stack.deletions.outputs["UndeliveredDeletionsName"]
    TriggerName              = aws_cloudformation_stack.sign_up.outputs["TriggerName"]
    ClusterName              = aws_cloudformation_stack.tasks.outputs["ClusterName"]
    ClusterArn               = aws_cloudformation_stack.tasks.outputs["ClusterArn"]
    ServiceName              = aws_cloudformation_stack.service.outputs["ServiceName"]
    NotStartedQueueName      = aws_cloudformation_stack.service.outputs["NotStartedQueueName"]
    DatabaseId               = aws_cloudformation_stack.database.outputs["DatabaseId"]
  }
}

output "user_pool_id" {
  value = aws_cloudformation_stack.sign_up.outputs["UserPoolId"]
}

output "activities_queue_url" { # for backends, with the policy below
  value = aws_cloudformation_stack.queues.outputs["ActivitiesQueueUrl"]
}

output "publisher_policy_arn" {
  value = aws_cloudformation_stack.queues.outputs["PublisherPolicyArn"]
}
