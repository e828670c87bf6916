/**
 * `npm run bench`: measures the worker as the image runs it, built and in a process of its own between the RunPod emulator and a ComfyUI, and
 * prints the figures beside the budgets. ComfyUI is the stand-in in a process of its own, or the real one that COMFY_URL names (with COMFY_INPUT_DIR,
 * COMFY_OUTPUT_DIR and COMFY_TEMP_DIR where its disk is shared). Nothing here is a test: machines are noisy, compare inside one run.
 */
import { measureGaps, measureOverhead, measureStartUp } from './measurements.ts';
import { formatTable, type Row } from './report.ts';
import { startBenchStack } from './stack.ts';

const megabyte = 1_000_000;
const runs = Number(process.env['BENCH_RUNS'] ?? 10);

await using stack = await startBenchStack(process.env);
process.stdout.write(`ComfyUI: ${stack.comfyName}; ${runs} runs each; times in ms, medians (90th percentile)\n\n`);

const rows: Row[] = [];
rows.push(await measureStartUp(stack, Math.min(runs, 5)));
for (const size of [1, 10]) rows.push(...(await measureOverhead(stack, size * megabyte, runs)));
for (const prefetch of ['0', 'auto'] as const) rows.push(await measureGaps(stack, runs, prefetch));
process.stdout.write(`${formatTable(rows)}\n`);
