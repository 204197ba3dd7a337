#!/usr/bin/env bash
# From a version's tag to its image (amd64, arm64), npm package and packaged chart, each with SBOM, provenance and
# signature. One command:
#
#   deploy/release.sh v1.2.3                  builds all into release/ and publishes it
#   deploy/release.sh --build-only v1.2.3     builds what needs no service outside of this machine, and tries it
#
# Needs node, npm, helm and tar, and to publish also docker buildx, cosign, and REGISTRY, as in ghcr.io/owner, with
# docker, helm and npm logged in. OUTPUT names another directory than release/, HELM and NODE other programs than helm
# and node; REUSE_DIST=1 takes dist/ as it is.
# .github/workflows/release.yml runs it for each tag.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '[release] %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

publish=true
if [[ ${1:-} == --build-only ]]; then publish=false; shift; fi
tag=${1:?which version? deploy/release.sh v1.2.3}
version=${tag#v}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail "$tag is no version: v1.2.3 or v1.2.3-rc.1"
mkdir -p "${OUTPUT:-release}"
out=$(cd "${OUTPUT:-release}" && pwd)
helm=${HELM:-helm}

# What names the version, and has to name this one.
named() { [[ $2 == "$version" ]] || fail "$1 says $2, the tag $version"; }
named package.json "$(node -p 'require("./package.json").version')"
named 'package-lock.json' "$(node -p 'require("./package-lock.json").version')"
named 'appVersion of the chart' "$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' helm/tracetally/Chart.yaml)"
named deploy/kustomize/kustomization.yaml "$(sed -n 's/^ *newTag: *"\(.*\)"$/\1/p' deploy/kustomize/kustomization.yaml)"
if $publish; then
  grep -q "^## \[$version\]" CHANGELOG.md || fail "CHANGELOG.md has no entry for $version"
  [[ -z $(git status --porcelain) ]] || fail 'there are changes that are not committed'
  [[ $(git rev-parse "$tag^{commit}") == "$(git rev-parse HEAD)" ]] || fail "this is not the commit of $tag"
  : "${REGISTRY:?where to? REGISTRY=ghcr.io/owner}"
fi

# Times inside of the image are the commit's.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2> /dev/null || date +%s)
export SOURCE_DATE_EPOCH

say "building $version into $out"
rm -rf "$out/npm" "$out/chart" "$out/sbom"
mkdir -p "$out/npm" "$out/chart" "$out/sbom"
[[ -x node_modules/.bin/tsc ]] || npm ci --ignore-scripts --no-audit --no-fund
[[ ${REUSE_DIST:-} == 1 ]] || PATH="$PWD/node_modules/.bin:$PATH" npm run --silent build

# The repository's package.json is private, so that nobody publishes it by hand; the package's is not.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -R dist README.md LICENSE CHANGELOG.md package.json "$stage"
(cd "$stage" && npm pkg delete private scripts devDependencies allowScripts)
npm pack --silent --pack-destination "$out/npm" "$stage" > /dev/null
package=$out/npm/tracetally-$version.tgz

"$helm" package helm/tracetally --version "$version" --app-version "$version" --destination "$out/chart" > /dev/null
chart=$out/chart/tracetally-$version.tgz

# Of what production installs by the lock file; npm leaves out some of it where it reads the lock file alone.
cp package-lock.json "$stage"
cp package.json "$stage/package.json"
(
  cd "$stage"
  npm ci --omit=dev --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error > /dev/null
  rm package-lock.json
  npm pkg delete private scripts devDependencies allowScripts
  for format in cyclonedx:cdx spdx:spdx; do
    npm sbom --sbom-format="${format%:*}" > "$out/sbom/tracetally-$version.${format#*:}.json"
  done
)

say 'installing the package and trying it'
mkdir "$stage/installed"
(cd "$stage/installed" && npm init -y > /dev/null && npm install --loglevel=error --no-audit --no-fund --prefer-offline "$package" > /dev/null)
tried=("${NODE:-node}" --no-warnings "$stage/installed/node_modules/tracetally/dist/main.js")
"${tried[@]}" --help > /dev/null
[[ $("${tried[@]}" version) == *"$version"* ]] || fail "the package calls itself $("${tried[@]}" version)"
"${tried[@]}" check --config deploy/tracetally.yaml > /dev/null
[[ ! -e $stage/installed/node_modules/typescript ]] || fail 'the package brings what only development needs'
"$helm" template --kube-version 1.31.0 "$chart" > /dev/null || fail 'the packaged chart cannot be rendered'

checksums() { (cd "$out" && find npm chart sbom -type f | LC_ALL=C sort | xargs sha256sum > SHA256SUMS); }
checksums
$publish || { say "built: $(find "$out" -type f | wc -l) files in $out"; exit 0; }

say "publishing to $REGISTRY"
digest_of() { docker buildx imagetools inspect "$1" --format '{{json .Manifest.Digest}}' | tr -d '"'; }
argument() { sed -n "s/^ARG $1=//p" deploy/Dockerfile; }
# Bases by digest: the provenance then says what is in the image, and a base that changes its mind changes nothing.
node_image=$(argument NODE_IMAGE)
base_image=$(argument BASE_IMAGE)
docker buildx build -f deploy/Dockerfile . --platform linux/amd64,linux/arm64 --push \
  --build-arg "NODE_IMAGE=$node_image@$(digest_of "$node_image")" \
  --build-arg "BASE_IMAGE=$base_image@$(digest_of "$base_image")" \
  --attest type=provenance,mode=max --attest type=sbom \
  --label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.revision=$(git rev-parse HEAD)" \
  --metadata-file "$out/image.json" --tag "$REGISTRY/tracetally:$version"
image=$REGISTRY/tracetally@$(node -p 'require(require("path").resolve(process.argv[1]))["containerimage.digest"]' "$out/image.json")
cosign sign --yes "$image"
cosign attest --yes --type cyclonedx --predicate "$out/sbom/tracetally-$version.cdx.json" "$image"

pushed=$("$helm" push "$chart" "oci://$REGISTRY/charts" 2>&1 | tee /dev/stderr | sed -n 's/^Digest: *//p')
cosign sign --yes "$REGISTRY/charts/tracetally@$pushed"

npm publish --provenance --access public "$package"

printf '%s\n' "$image" > "$out/IMAGE"
cosign sign-blob --yes --bundle "$out/SHA256SUMS.bundle" "$out/SHA256SUMS"
say "published $version: $image, chart $pushed, npm tracetally@$version"
