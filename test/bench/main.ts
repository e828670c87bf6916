/**
 * `npm run bench`: measures the worker as the image runs it, built and in a process of its own between the RunPod emulator and a ComfyUI, and
 * prints the figures beside the budgets. ComfyUI is the stand-in in a process of its own, or the real one that COMFY_URL names (with COMFY_INPUT_DIR,
 * COMFY_OUTPUT_DIR and COMFY_TEMP_DIR where its disk is shared). How to read it: docs/benchmarks.md. Nothing here is a test: machines are noisy,
 * compare inside one run.
 *
 * BENCH_RUNS: runs of each figure (default 10). BENCH_ONLY: only figures whose name, as in this file, holds this text.
 */
import { measureConversion } from './measure-conversion.ts';
import { measureInlineMemory, measureLarge, measureWipe } from './measure-large.ts';
import { measureArtifacts, measureGaps, measureOverhead, measureSaving, measureStartUp } from './measurements.ts';
import { failedRow, formatTable, type Row } from './report.ts';
import { type BenchStack, startBenchStack } from './stack.ts';

const runs = Number(process.env['BENCH_RUNS'] ?? 10);
const only = process.env['BENCH_ONLY'] ?? '';

/** What is measured over every line. Runs that take seconds are fewer. */
function figures(stack: BenchStack): Record<string, () => Promise<Row | Row[]>> {
  const few = Math.min(runs, 3);
  return {
    'start-up': () => measureStartUp(stack, Math.min(runs, 5)),
    'overhead 1 MB': () => measureOverhead(stack, 1, runs),
    'overhead 10 MB': () => measureOverhead(stack, 10, Math.min(runs, 6)),
    'artifacts 1': () => measureArtifacts(stack, 1, runs),
    'artifacts 10': () => measureArtifacts(stack, 10, runs),
    'artifacts 100': () => measureArtifacts(stack, 100, few),
    'large 50 MB': () => measureLarge(stack, few),
    'inline memory': () => measureInlineMemory(stack, few),
    'gap PREFETCH=0': () => measureGaps(stack, runs, '0'),
    'gap PREFETCH=auto': () => measureGaps(stack, runs, 'auto'),
    saving: () => measureSaving(stack, runs),
  };
}

/** Prints one table. A figure that can't be measured says so and costs no other. */
async function measure(title: string, wanted: Record<string, () => Promise<Row | Row[]>>): Promise<void> {
  const rows: Row[] = [];
  for (const [name, figure] of Object.entries(wanted)) {
    if (!name.includes(only)) continue;
    process.stderr.write(`${name} ...\n`);
    rows.push(...[await figure().catch((error: unknown) => failedRow(name, error))].flat());
  }
  process.stdout.write(`${title}\n\n${formatTable(rows)}\n\n`);
}

await using stack = await startBenchStack(process.env);
process.stdout.write(`ComfyUI: ${stack.comfyName}; ${runs} runs at most; times in ms, medians (90th percentile)\n\n`);
await measure('RunPod on this machine', {
  ...figures(stack),
  wipe: measureWipe,
  conversion: () => measureConversion(runs),
});
const far = await stack.over({ roundTripMs: 50, upBitsPerSecond: 100_000_000 });
await measure('RunPod 50 ms away, 100 Mbit/s up', figures(far));
