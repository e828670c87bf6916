/** How long the conversion of each recorded workflow takes once the node classes are loaded. */
import { readdirSync, readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { loadObjectInfo } from '../../client/data/load-object-info.ts';
import { convertWorkflow } from '../../client/workflow/index.ts';
import { type Row, spread } from './report.ts';

const folder = new URL('../fixtures/workflows/pairs/', import.meta.url);

/** One run over all workflows, each converted once: the first conversion counts, as a command converts once. */
export async function measureConversion(runs: number): Promise<Row[]> {
  const workflows = readdirSync(folder).map(
    (name) => (JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as { workflow: unknown }).workflow,
  );
  const loading = performance.now();
  const { objectInfo } = await loadObjectInfo();
  const loaded = performance.now() - loading;
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    for (const workflow of workflows) {
      const start = performance.now();
      convertWorkflow(workflow, objectInfo);
      times.push(performance.now() - start);
    }
  }
  const rivals = '-';
  return [
    { figure: 'loading the shipped node classes', ours: loaded.toFixed(1), budget: '-', rivals },
    {
      figure: `conversion of a workflow, ${workflows.length} of them`,
      ours: `${spread(times)}, slowest ${Math.max(...times).toFixed(1)}`,
      budget: '<= 20',
      rivals,
    },
  ];
}
