#!/usr/bin/env bash
# Checks whether the stack can be deployed in an account and run its first job: scripts/deployment/preflight.sh. Run it
# before `sam deploy`.
#
# Changes nothing. Each line shows ok, or what is missing and the command that requests it; exit code 1 if anything is.
#
#   STAGE          the stack's Stage parameter                                             (dev)
#   SENDER         SenderEmail, or the domain that is verified for it                      (spaceport@example.com)
#   SFM_TYPES, TRAINING_TYPES, …
#                  a stage's instance types, as the template's parameter has them          (the template's defaults)
#   SPOT           SpotTraining                                                            (true)
#   RESERVE        ReserveConcurrency                                                      (false)
#   PRICES         RegionPrices                                                            (none: us-east-1's list counts)
#   IMAGE_TAG      ImageTag: its images must be in ECR                                     (none: not looked for)
#   DEPLOY_ROLE    name of the role that GitHub takes on                                   (none: not looked for)
set -euo pipefail
cd "$(dirname "$0")/../.."
STAGE=${STAGE:-dev}
SENDER=${SENDER:-spaceport@example.com}
SPOT=${SPOT:-true}
RESERVE=${RESERVE:-false}
UNRESERVED_MINIMUM=100 # concurrent executions that Lambda keeps for functions without reserved ones

missing=0
ok() { echo "ok       $*"; }
lacks() { echo "MISSING  $*"; missing=1; }

lambda_limit() {
  local reserve=1 left # sweep_jobs
  [ "$RESERVE" = true ] && reserve=294
  left=$(aws lambda get-account-settings --query AccountLimit.UnreservedConcurrentExecutions --output text)
  if [ $((left - reserve)) -ge $UNRESERVED_MINIMUM ] || deployed; then
    ok "Lambda: $left concurrent executions are free"
  else
    lacks "Lambda: $left concurrent executions are free, $((reserve + UNRESERVED_MINIMUM)) are needed: aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 1000"
  fi
}

quotas() { # usage, types with commas or +, what is done without: each type's quota is at least 1
  local usage=$1 types=$2 otherwise=${3:-} type name code value
  for type in $(tr ',+' '\n\n' <<<"$types" | sort -u); do
    name="$type for $usage usage"
    # as text, the query is answered once for each page
    read -r code value <<<"$(aws service-quotas list-service-quotas --service-code sagemaker \
      --query "Quotas[?QuotaName=='$name'].[QuotaCode,Value]" --output text | grep '^L-' || true)"
    if awk -v value="${value:-0}" 'BEGIN { exit !(value >= 1) }'; then
      ok "SageMaker: $name: $value"
    elif [ -n "$otherwise" ]; then
      ok "SageMaker: $name is ${value:-not there}: $otherwise"
    elif [ -z "$code" ]; then
      lacks "SageMaker: this region names no quota '$name'"
    else
      lacks "SageMaker: $name is $value: aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code $code --desired-value 4"
    fi
  done
}

sender() {
  local identity verified=False
  for identity in "$SENDER" "${SENDER#*@}"; do
    verified=$(aws sesv2 get-email-identity --email-identity "$identity" --query VerifiedForSendingStatus --output text 2>/dev/null) || verified=False
    [ "$verified" = True ] && break
  done
  if [ "$verified" = True ]; then
    ok "SES: $identity may send"
  else
    lacks "SES: $SENDER is not verified: aws sesv2 create-email-identity --email-identity $SENDER"
  fi
  if [ "$(aws sesv2 get-account --query ProductionAccessEnabled --output text)" = True ]; then
    ok "SES: mail to anybody"
  else
    lacks "SES: in its sandbox, mail reaches verified addresses only: aws sesv2 put-account-details (docs/runbook.md)"
  fi
}

deployed() { aws cloudformation describe-stacks --stack-name "spaceport-$STAGE" >/dev/null 2>&1; }

bucket_names() { # of a stack that is not there yet, nobody may have them
  local account name
  account=$(aws sts get-caller-identity --query Account --output text)
  if deployed; then
    ok "S3: the stack spaceport-$STAGE has its buckets"
    return
  fi
  for name in uploads results access-logs web; do
    name=spaceport-$STAGE-$name-$account
    local said
    if said=$(aws s3api head-bucket --bucket "$name" 2>&1); then
      lacks "S3: $name exists already, from a stack that was deleted: choose another Stage (docs/runbook.md, Restore)"
    elif [[ $said == *404* ]]; then
      ok "S3: $name is free"
    else
      lacks "S3: $name cannot be looked at: $said"
    fi
  done
}

images() {
  local stage
  for stage in $(ls containers/*/Dockerfile | cut -d/ -f2); do
    if aws ecr describe-images --repository-name "spaceport-$STAGE/$stage" --image-ids "imageTag=$IMAGE_TAG" >/dev/null 2>&1; then
      ok "ECR: spaceport-$STAGE/$stage:$IMAGE_TAG"
    else
      lacks "ECR: no image spaceport-$STAGE/$stage:$IMAGE_TAG: STAGE=$STAGE scripts/deployment/deploy.sh $stage"
    fi
  done
}

deploy_role() {
  if aws iam get-role --role-name "$DEPLOY_ROLE" >/dev/null 2>&1; then
    ok "IAM: role $DEPLOY_ROLE"
  else
    lacks "IAM: no role $DEPLOY_ROLE: deploy scripts/deployment/deploy-role.yaml (docs/runbook.md)"
  fi
}

stage_logs() { # SageMaker makes these groups, which belong to the account, and keeps their lines for ever
  local group days
  for group in /aws/sagemaker/ProcessingJobs /aws/sagemaker/TrainingJobs; do
    days=$(aws logs describe-log-groups --log-group-name-prefix "$group" --query "logGroups[?logGroupName=='$group'].retentionInDays" --output text)
    case $days in
      '') lacks "CloudWatch: no group $group yet: aws logs create-log-group --log-group-name $group && aws logs put-retention-policy --log-group-name $group --retention-in-days 30" ;;
      None) lacks "CloudWatch: $group keeps its lines for ever: aws logs put-retention-policy --log-group-name $group --retention-in-days 30" ;;
      *) ok "CloudWatch: $group keeps its lines for $days days" ;;
    esac
  done
}

state_machine() { # Step Functions takes the definition, with names in place of what the template fills in
  local definition result
  definition=$(sed -e 's/\${[A-Za-z]*Arn}/arn:aws:lambda:us-east-1:123456789012:function:any/' -e 's/\${[A-Za-z]*}/any/' statemachine/pipeline.asl.json)
  result=$(aws stepfunctions validate-state-machine-definition --definition "$definition" --query result --output text)
  if [ "$result" = OK ]; then
    ok "Step Functions: statemachine/pipeline.asl.json"
  else
    lacks "Step Functions: statemachine/pipeline.asl.json is $result: aws stepfunctions validate-state-machine-definition (docs/runbook.md)"
  fi
}

prices() { # types with commas or +. Budgets count dollars: without this region's, they would count another's
  local region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}} type unknown=()
  for type in $(tr ',+' '\n\n' <<<"$1" | sort -u); do
    [[ ",${PRICES:-}" == *",$type="* ]] || unknown+=("$type")
  done
  if [ ${#unknown[@]} -eq 0 ] || [ "$region" = us-east-1 ]; then
    ok "Prices: ${PRICES:-the list of us-east-1}"
  else
    lacks "Prices: ${unknown[*]} in $region: not known, and budgets would count those of us-east-1: look them up (aws.amazon.com/sagemaker/ai/pricing), then PRICES and RegionPrices=ml.c6i.4xlarge=…,ml.g4dn.xlarge=…"
  fi
}

state_machine
lambda_limit
types_of() { # a stage, as the template's parameter names it
  local variable=${1^^}_TYPES
  echo "${!variable:-$(sed -n "/^  $1InstanceTypes:/,/Default:/s/.*Default: //p" template.yaml)}"
}
others_of() { sed -E 's/(^|,)[^,+]*/\1/g' <<<"$1"; } # of the types that are tried in turn, those behind the first
first_of() { sed 's/+[^,]*//g' <<<"$1"; } # of the types that are tried in turn
processing=$(for stage in $(sed -n 's/^  \([A-Za-z]*\)InstanceTypes:/\1/p' template.yaml); do
  [ "$stage" = Training ] || types_of "$stage"
done | paste -sd,)
training=$(types_of Training)
prices "$processing,$training"
quotas "processing job" "$(first_of "$processing")"
if [ "$SPOT" = true ]; then
  quotas "spot training job" "$(first_of "$training")"
else
  quotas "training job" "$(first_of "$training")"
fi
# a fallback whose quota is 0 is skipped; on Spot capacity the first type on demand is one, too
if [ "$SPOT" = true ]; then fallbacks=$training; else fallbacks=$(others_of "$training"); fi
quotas "training job" "$fallbacks" "skipped as a fallback"
sender
bucket_names
stage_logs
[ -z "${IMAGE_TAG:-}" ] || images
[ -z "${DEPLOY_ROLE:-}" ] || deploy_role
exit $missing
