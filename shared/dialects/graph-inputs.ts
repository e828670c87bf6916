/** Walks the constant inputs of a graph that is not validated yet: what is malformed is left alone, the parser will say so. */
import { isLink } from '../workflow.ts';
import { isRecord } from './foreign-value.ts';

/** One input of a node that holds a constant. */
export interface ConstantInput {
  readonly node: string;
  readonly classType: string;
  readonly input: string;
  readonly value: unknown;
}

/** Input names that hold a sampler's seed. `rand_seed` is what some sampler packs call it. */
export const seedInputs: readonly string[] = ['seed', 'noise_seed', 'rand_seed'];

function classTypeOf(node: Readonly<Record<string, unknown>>): string {
  return typeof node['class_type'] === 'string' ? node['class_type'] : '';
}

/** All constant inputs, in the order of the graph. */
export function constantInputs(workflow: unknown): ConstantInput[] {
  if (!isRecord(workflow)) return [];
  return Object.entries(workflow).flatMap(([node, body]) =>
    isRecord(body) && isRecord(body['inputs'])
      ? Object.entries(body['inputs'])
          .filter(([, value]) => !isLink(value))
          .map(([input, value]) => ({ node, classType: classTypeOf(body), input, value }))
      : [],
  );
}

/** A copy of the graph in which `change` was asked for every constant input. The graph given is not touched. */
export function mapConstantInputs(workflow: unknown, change: (constant: ConstantInput) => unknown): unknown {
  if (!isRecord(workflow)) return workflow;
  const mapped = Object.entries(workflow).map(([node, body]): [string, unknown] => {
    if (!isRecord(body) || !isRecord(body['inputs'])) return [node, body];
    const classType = classTypeOf(body);
    const inputs = Object.entries(body['inputs']).map(([input, value]): [string, unknown] => [
      input,
      isLink(value) ? value : change({ node, classType, input, value }),
    ]);
    return [node, { ...body, inputs: Object.fromEntries(inputs) }];
  });
  return Object.fromEntries(mapped);
}

/** True for a constant that is a seed. */
export function isSeed(constant: ConstantInput): boolean {
  return seedInputs.includes(constant.input) && typeof constant.value === 'number';
}
