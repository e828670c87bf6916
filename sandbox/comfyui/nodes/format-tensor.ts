// Numbers printed the way torch prints a tensor: brackets, four decimals, long dimensions cut to three at each end.
// Neighbours: preview-any.ts. Source: observed answers of a real server's PreviewAny.

/** Any block of numbers with its sizes, outermost first. */
export interface NumberBlock {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Numbers above which only the edges are shown. */
const SUMMARY_THRESHOLD = 1000;
/** How many entries an edge has. */
const EDGE = 3;
/** Characters a line may have. */
const LINE_WIDTH = 80;
/** Where the first bracket stands: behind `tensor(`. */
const INDENT = 7;

function shownIndices(size: number, summarize: boolean): readonly (number | 'gap')[] {
  const all = Array.from({ length: size }, (_, i) => i);
  if (!summarize || size <= 2 * EDGE) return all;
  return [...all.slice(0, EDGE), 'gap', ...all.slice(-EDGE)];
}

/** The numbers that will be shown, in order. */
function* shownNumbers(block: NumberBlock, summarize: boolean, dimension = 0, offset = 0): Generator<number> {
  const size = block.shape[dimension];
  if (size === undefined) {
    yield block.data[offset] ?? 0;
    return;
  }
  for (const index of shownIndices(size, summarize)) {
    if (index !== 'gap') yield* shownNumbers(block, summarize, dimension + 1, offset * size + index);
  }
}

function exponentText(value: number): string {
  return value.toExponential(4).replace(/e([+-])(\d)$/, 'e$10$2');
}

/** Chooses how every number is written, from all that are shown. */
function numberFormat(numbers: readonly number[]): (value: number) => string {
  const sizes = numbers.filter((value) => Number.isFinite(value) && value !== 0).map(Math.abs);
  const [smallest, largest] = [Math.min(...sizes), Math.max(...sizes)];
  let plain: (value: number) => string = (value) => `${value.toFixed(0)}.`;
  if (sizes.length > 0 && numbers.some((value) => Number.isFinite(value) && !Number.isInteger(value))) {
    const needsExponent = largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4;
    plain = needsExponent ? exponentText : (value) => value.toFixed(4);
  } else if (sizes.length > 0 && (largest / smallest > 1000 || largest > 1e8)) {
    plain = exponentText;
  }
  const text = (value: number): string => {
    if (Number.isNaN(value)) return 'nan';
    if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
    return plain(value);
  };
  const width = Math.max(0, ...numbers.map((value) => text(value).length));
  return (value) => text(value).padStart(width);
}

/** `tensor([[…]])`. */
export function formatTensor(block: NumberBlock): string {
  const summarize = block.data.length > SUMMARY_THRESHOLD;
  const numbers = [...shownNumbers(block, summarize)];
  const format = numberFormat(numbers);
  const elementWidth = format(numbers[0] ?? 0).length + 2;
  const row = (size: number, offset: number, indent: number): string => {
    const perLine = Math.max(1, Math.floor((LINE_WIDTH - indent) / elementWidth));
    const cells = shownIndices(size, summarize).map((index) =>
      index === 'gap' ? ' ...' : format(block.data[offset * size + index] ?? 0),
    );
    const lines: string[] = [];
    for (let i = 0; i < cells.length; i += perLine) lines.push(cells.slice(i, i + perLine).join(', '));
    return `[${lines.join(`,\n${' '.repeat(indent + 1)}`)}]`;
  };
  const slice = (dimension: number, offset: number, indent: number): string => {
    const size = block.shape[dimension] ?? 0;
    if (dimension === block.shape.length - 1) return row(size, offset, indent);
    const parts = shownIndices(size, summarize).map((index) =>
      index === 'gap' ? '...' : slice(dimension + 1, offset * size + index, indent + 1),
    );
    return `[${parts.join(`,${'\n'.repeat(block.shape.length - 1 - dimension)}${' '.repeat(indent + 1)}`)}]`;
  };
  if (block.data.length === 0) return `tensor([], size=(${block.shape.join(', ')}))`;
  return `tensor(${slice(0, 0, INDENT)})`;
}
