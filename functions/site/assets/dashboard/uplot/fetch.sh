#!/bin/sh
# Downloads uPlot from npm again. Fails if the package or a file differs from the recorded digest.
set -eu
cd "$(dirname "$0")"
version=1.6.32
integrity=KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
npm pack --silent --pack-destination "$folder" "uplot@$version" >/dev/null
[ "$(openssl dgst -sha512 -binary "$folder/uplot-$version.tgz" | openssl base64 -A)" = "$integrity" ]
tar -xzf "$folder/uplot-$version.tgz" -C "$folder"
cp "$folder/package/dist/uPlot.iife.min.js" uplot.min.js
cp "$folder/package/dist/uPlot.min.css" uplot.min.css
cp "$folder/package/LICENSE" LICENSE
sha256sum --check --quiet SHA256SUMS
