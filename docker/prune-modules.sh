#!/bin/sh
# Takes out of node_modules ($1) what no running process reads: types, source maps, texts, tests, sources of what is compiled, and builds for
# browsers, bundlers and require() beside the ones that import takes. Licences stay. That nothing is missed is proved by the container tests.
set -eu
cd "$1"
find . -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.flow' -o -name '*.md' -o -name '*.markdown' \
  -o -name '*.html' -o -name '*.yml' -o -name '*.cc' -o -name '*.h' -o -name '*.tsbuildinfo' \) -delete
find . -type d \( -name dist-es -o -name dist-types -o -name test -o -name tests -o -name benchmark -o -name benchmarks -o -name examples \
  -o -name browser -o -name .github \) -prune -exec rm -rf {} +
find @fontsource -type f ! -name '*-latin-400-normal.woff' ! -name 'package.json' ! -name 'LICENSE*' -delete
find zod -name '*.cjs' -delete
rm -rf @huggingface/*/src @huggingface/hub/dist/cli.* @huggingface/hub/dist/index.js @huggingface/tasks/dist/commonjs zod/src zod/v3 zod/v4-mini \
  csv-parse/dist ramda/dist ramda/src opentype.js/dist/opentype.mjs opentype.js/dist/*.min.* bowser/bundled.js .package-lock.json .bin
find . -type d -empty -delete
