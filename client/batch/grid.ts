/** `--grid seed=1..10 --grid "KSampler.cfg=4,7"`: the values of one flag, and every combination of several. Pure. */
import { ComfyRunpodError } from '../../shared/index.ts';

/** One varied value: what it sets, and the text of each value. */
export interface GridAxis {
  readonly key: string;
  readonly values: readonly string[];
}

/** Combinations that one batch may have; more is a typing error, and would be an expensive one. */
export const gridLimit = 10_000;

/**
 * Reads one axis. Values are separated by commas; `1..10` and `0..1..0.25` (from, to, step) are ranges, both ends included; a value in single or
 * double quotes may hold commas. Throws `USAGE`.
 */
export function parseGridAxis(text: string): GridAxis {
  const at = text.indexOf('=');
  const key = text.slice(0, at).trim();
  if (at <= 0 || key === '') throw usage(text, 'it takes the form NAME=VALUES');
  const values = splitValues(text.slice(at + 1), text).flatMap((value) => range(value, text) ?? [value.text]);
  if (values.length === 0) throw usage(text, 'it has no values');
  if (values.length > gridLimit) throw usage(text, `it has more than ${gridLimit} values`);
  return { key, values };
}

function usage(text: string, why: string): ComfyRunpodError {
  const key = text.split('=')[0]?.slice(0, 60) ?? '';
  return new ComfyRunpodError('USAGE', `--grid ${key}: ${why}.`, {
    nextStep: 'Write it like seed=1..10, "KSampler.cfg=4,7" or denoise=0..1..0.25.',
  });
}

interface Value {
  readonly text: string;
  readonly quoted: boolean;
}

function splitValues(text: string, whole: string): Value[] {
  const values: Value[] = [];
  const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^,"']*))\s*(?:,|$)/y;
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null) throw usage(whole, 'a quote is not closed');
    const [, double, single, plain = ''] = match;
    const quoted = double ?? single;
    if (quoted !== undefined) values.push({ text: double?.replace(/\\(.)/g, '$1') ?? quoted, quoted: true });
    else if (plain.trim() !== '') values.push({ text: plain.trim(), quoted: false });
    else throw usage(whole, 'a value is empty');
  }
  return values;
}

const number = String.raw`-?\d+(?:\.\d+)?`;
const rangePattern = new RegExp(`^(${number})\\.\\.(${number})(?:\\.\\.(${number}))?$`);

function range({ text, quoted }: Value, whole: string): string[] | undefined {
  const match = quoted ? null : rangePattern.exec(text);
  if (match === null) return undefined;
  const [, fromText = '', toText = '', stepText] = match;
  const from = Number(fromText);
  const to = Number(toText);
  const step = stepText === undefined ? Math.sign(to - from) || 1 : Number(stepText);
  if (step === 0 || Math.sign(step) !== (Math.sign(to - from) || Math.sign(step))) {
    throw usage(whole, 'its step does not lead from the first value to the last');
  }
  if (![from, to].every(Number.isSafeInteger) && stepText === undefined) {
    throw usage(whole, 'a range of fractions needs a step, as in 0..1..0.25');
  }
  const count = Math.floor((to - from) / step + 1e-9) + 1;
  if (count > gridLimit) throw usage(whole, `it has more than ${gridLimit} values`);
  // Decimals as they were typed: 0.1 + 0.2 is not what a person wrote.
  const digits = Math.max(...[fromText, stepText ?? ''].map((part) => part.split('.')[1]?.length ?? 0));
  return Array.from({ length: count }, (_, index) => (from + index * step).toFixed(digits));
}

/** Every combination, the last axis varying fastest. No axes: one combination of nothing. Throws `USAGE` beyond {@link gridLimit}. */
export function gridCombinations(axes: readonly GridAxis[]): ReadonlyMap<string, string>[] {
  const twice = axes.find(({ key }, index) => axes.findIndex((other) => other.key === key) !== index);
  if (twice !== undefined) throw usage(`${twice.key}=`, 'it is given twice');
  const total = axes.reduce((product, { values }) => product * values.length, 1);
  if (total > gridLimit) {
    throw new ComfyRunpodError('USAGE', `The grid has ${total} combinations; at most ${gridLimit} are run at once.`);
  }
  return axes.reduce<ReadonlyMap<string, string>[]>(
    (rows, { key, values }) => rows.flatMap((row) => values.map((value) => new Map([...row, [key, value]]))),
    [new Map()],
  );
}
