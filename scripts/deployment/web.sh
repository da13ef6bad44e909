#!/usr/bin/env bash
# Builds the customer's page and publishes it for a deployed stack: scripts/deployment/web.sh STACK. Needs the AWS CLI.
#
# Texts and links for customers who have not signed in; each is optional:
#   PRICE        what a scene costs, one sentence of plain text
#   SAMPLE_URL   a scene to look at: a link of one of yours (Share, "until I withdraw it")
#   TERMS_URL    terms, privacy and contact
set -euo pipefail
cd "$(dirname "$0")/../.."
stack=${1:?usage: scripts/deployment/web.sh STACK}

output() { # the stack's output of that name, or nothing
  aws cloudformation describe-stacks --stack-name "$stack" \
    --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue | [0]" --output text | sed 's/^None$//'
}

(cd web && npm ci --ignore-scripts --silent --no-audit --no-fund && npm run --silent build)
sign_in=$(output SignInUrl)
sign_out=''
revoke=''
scope='openid email'
if [ -n "$sign_in" ]; then
  sign_out=$sign_in/logout
  revoke=$sign_in/oauth2/revoke
else
  scope='openid email offline_access' # scope that requests a refresh token; Cognito returns one without it
fi
bucket=$(output WebBucket)
quoted() { # as a string of JSON, of one line
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}
# if you use your own issuer (parameter OidcIssuer), set its endpoints in these variables
cat >web/.build/config.json <<JSON
{
  "apiUrl": "$(output ApiUrl)",
  "clientId": "$(output TokenAudience)",
  "signInUrl": "${SIGN_IN_URL:-$sign_in/oauth2/authorize}",
  "scope": "$scope",
  "tokenUrl": "${TOKEN_URL:-$sign_in/oauth2/token}",
  "revokeUrl": "${REVOKE_URL:-$revoke}",
  "signOutUrl": "${SIGN_OUT_URL:-$sign_out}",
  "price": $(quoted "${PRICE:-}"),
  "sampleUrl": $(quoted "${SAMPLE_URL:-}"),
  "termsUrl": $(quoted "${TERMS_URL:-}")
}
JSON
aws s3 sync web/.build "s3://$bucket" --delete --cache-control "public, max-age=300"
echo "published at $(output WebUrl); CloudFront may show the old page for five minutes"
