#!/bin/sh
# Takes uPlot from npm anew; ends with an error unless the package and the files are what they were.
set -eu
cd "$(dirname "$0")"
version=1.6.32
integrity=KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
npm pack --silent --pack-destination "$place" "uplot@$version" >/dev/null
[ "$(openssl dgst -sha512 -binary "$place/uplot-$version.tgz" | openssl base64 -A)" = "$integrity" ]
tar -xzf "$place/uplot-$version.tgz" -C "$place"
cp "$place/package/dist/uPlot.iife.min.js" uplot.min.js
cp "$place/package/dist/uPlot.min.css" uplot.min.css
cp "$place/package/LICENSE" LICENSE
sha256sum --check --quiet SHA256SUMS
