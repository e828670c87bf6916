/** The table that the benchmark prints. */

/** One figure, ours and others'. */
export interface Row {
  readonly figure: string;
  readonly ours: string;
  readonly budget: string;
  /** What rival workers were measured at, on a real ComfyUI. */
  readonly rivals: string;
}

/** Lays the rows out as a Markdown table with aligned columns. */
export function formatTable(rows: readonly Row[]): string {
  const cells = [
    ['figure', 'ours', 'budget', 'rivals (recorded)'],
    ...rows.map((row) => [row.figure, row.ours, row.budget, row.rivals]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const lines = cells.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  lines.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  return lines.join('\n');
}

/** The value below which this share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Median and 90th percentile as text, with one digit. */
export function spread(values: readonly number[]): string {
  return `${quantile(values, 0.5).toFixed(1)} (${quantile(values, 0.9).toFixed(1)})`;
}

/** A row for a measurement that broke off: the others are printed all the same. */
export function failedRow(figure: string, error: unknown): Row {
  const why = error instanceof Error ? error.message : 'unknown';
  return { figure, ours: `FAILED: ${why.slice(0, 200)}`, budget: '', rivals: '' };
}
