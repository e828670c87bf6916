/** Prints how long the conversion of each recorded workflow takes: `node scripts/bench-convert.ts [runs]`. The target is under 20 ms each. */
import { readdirSync, readFileSync } from 'node:fs';
import { loadObjectInfo } from '../client/data/load-object-info.ts';
import { convertWorkflow } from '../client/workflow/convert/convert-workflow.ts';

const folder = new URL('../test/fixtures/workflows/pairs/', import.meta.url);
const runs = Number(process.argv[2] ?? 20);

const started = performance.now();
const { objectInfo, version } = await loadObjectInfo();
process.stdout.write(`node classes of ComfyUI ${version} loaded in ${(performance.now() - started).toFixed(1)} ms\n`);

const rows = readdirSync(folder).map((name) => {
  const { workflow } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as { workflow: unknown };
  const times = Array.from({ length: runs }, () => {
    const start = performance.now();
    convertWorkflow(workflow, objectInfo);
    return performance.now() - start;
  });
  return { name, first: times[0] ?? 0, median: times.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? 0 };
});
for (const { name, first, median } of rows.toSorted((a, b) => b.first - a.first)) {
  process.stdout.write(
    `${first.toFixed(2).padStart(8)} ms first ${median.toFixed(2).padStart(8)} ms median  ${name}\n`,
  );
}
