/** The seeds of a workflow: where they are, and what they become. Pure; chance comes from outside. */
import { type ApiNode, ComfyRunpodError, compareNodeIds, isLink, type Workflow } from '../../../shared/index.ts';
import { findClass, type ObjectInfo } from '../convert/object-info.ts';
import { type Spot, spotOf, spotText, uniqueSpots } from './spots.ts';

/**
 * `keep`: as the workflow says. A number: that one for all. `random`: a new one for all, so that its number brings the same result again; each one its
 * own only where no number is in the range of all.
 */
export type SeedWish = 'keep' | 'random' | number;

/** Largest random seed: 48 bits fit every sampler's range and every JSON reader. */
const largestRandom = 2 ** 48 - 1;

/** Reads `--seed`. Throws `USAGE`. */
export function parseSeed(text: string): SeedWish {
  if (text === 'keep' || text === 'random') return text;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new ComfyRunpodError('USAGE', `--seed takes random, keep, or a whole number up to ${Number.MAX_SAFE_INTEGER}.`);
}

/** Every seed: `seed` and `noise_seed`, and every whole number that the editor can change after a run, primitives aside. One that a link fills is where it comes from. */
export function findSeeds(workflow: Workflow, objectInfo?: ObjectInfo): Spot[] {
  const spots = Object.entries(workflow).flatMap(([id, node]) =>
    seedInputs(node, objectInfo).flatMap((name) => {
      const value = node.inputs[name];
      if (typeof value === 'number') return [spotOf(workflow, id, [name])];
      return isLink(value) ? sourceOf(workflow, value[0], objectInfo, new Set([id])) : [];
    }),
  );
  return uniqueSpots(spots).toSorted((a, b) => compareNodeIds(a.node, b.node));
}

function seedInputs(node: ApiNode, objectInfo: ObjectInfo | undefined): string[] {
  const declared = objectInfo && findClass(objectInfo, node.class_type);
  // A bare number may be a width as well: it is a seed only where one is linked to it, and is found from there.
  const controlled =
    declared && !node.class_type.startsWith('Primitive')
      ? declared.inputs.filter(({ type, options }) => type === 'INT' && isControlled(options['control_after_generate']))
      : [];
  return ['seed', 'noise_seed', ...controlled.map(({ name }) => name)].filter(
    (name, index, names) => names.indexOf(name) === index && Object.hasOwn(node.inputs, name),
  );
}

function isControlled(option: unknown): boolean {
  return option === true || typeof option === 'string';
}

/** The whole number behind a link: a primitive, or a seed node of some pack. A number that is computed has no place of its own. */
function sourceOf(
  workflow: Workflow,
  id: string,
  objectInfo: ObjectInfo | undefined,
  seen: ReadonlySet<string>,
): Spot[] {
  const node = workflow[id];
  if (node === undefined || seen.has(id)) return [];
  const names = ['seed', 'noise_seed', 'value', 'int', 'Number', 'number'].filter((name) =>
    Object.hasOwn(node.inputs, name),
  );
  const [name] = names;
  if (name === undefined) return [];
  const value = node.inputs[name];
  if (typeof value === 'number') return [spotOf(workflow, id, [name])];
  return isLink(value) ? sourceOf(workflow, value[0], objectInfo, new Set([...seen, id])) : [];
}

/** The seeds as they become, by `NODE.input`. Throws `INPUT_INVALID` for a number beyond a range, `INJECTION_TARGET_MISSING` where there is no seed to set. */
export function chooseSeeds(
  workflow: Workflow,
  wish: SeedWish,
  random: () => number,
  objectInfo?: ObjectInfo,
): ReadonlyMap<string, { readonly spot: Spot; readonly value: number }> {
  const chosen = new Map<string, { readonly spot: Spot; readonly value: number }>();
  if (wish === 'keep') return chosen;
  const spots = findSeeds(workflow, objectInfo);
  if (spots.length === 0 && wish !== 'random') {
    throw new ComfyRunpodError('INJECTION_TARGET_MISSING', 'The workflow has no seed that could be set.', {
      nextStep: 'Leave --seed out, or set an input with --set.',
    });
  }
  const ranges = spots.map((spot) => rangeOf(spot, objectInfo));
  const everywhere = {
    min: Math.max(0, ...ranges.map(({ min }) => min)),
    max: Math.min(largestRandom, ...ranges.map(({ max }) => max)),
  };
  const drawn = everywhere.min <= everywhere.max ? draw(everywhere, random) : undefined;
  for (const [index, spot] of spots.entries()) {
    const { min, max } = ranges[index] ?? everywhere;
    if (wish !== 'random' && (wish > max || wish < min)) {
      throw new ComfyRunpodError('INPUT_INVALID', `${spotText(spot)} takes seeds from ${min} to ${max}.`);
    }
    const value = wish === 'random' ? (drawn ?? draw({ min, max: Math.min(max, largestRandom) }, random)) : wish;
    chosen.set(`${spot.node}.${spot.inputs[0] ?? ''}`, { spot, value });
  }
  return chosen;
}

/** Whole numbers from `min` to `max`. */
interface SeedRange {
  readonly min: number;
  readonly max: number;
}

function rangeOf({ classType, inputs: [name = ''] }: Spot, objectInfo: ObjectInfo | undefined): SeedRange {
  const options = objectInfo && findClass(objectInfo, classType)?.inputsByName.get(name)?.options;
  return {
    min: typeof options?.['min'] === 'number' ? Math.max(0, options['min']) : 0,
    max: typeof options?.['max'] === 'number' ? options['max'] : Number.MAX_SAFE_INTEGER,
  };
}

function draw({ min, max }: SeedRange, random: () => number): number {
  return min + Math.floor(random() * (max - min + 1));
}
