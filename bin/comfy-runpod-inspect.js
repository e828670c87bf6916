#!/usr/bin/env node
// `comfy-runpod-inspect`: short for `comfy-runpod inspect-worker`, for people inside the container of a worker.
process.argv.splice(2, 0, 'inspect-worker');
await import('./comfy-runpod.js');
