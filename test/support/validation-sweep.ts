// Workflows that are wrong in as many inputs of one class as can be, made from its declaration; and the words in which answers are compared.
import type { Workflow } from '../../shared/index.ts';

interface Declaration {
  readonly input?: Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>>;
  readonly output?: readonly unknown[];
  readonly output_node?: boolean;
}

/** How the inputs are broken. */
export const breakages = ['absent', 'low', 'high', 'text', 'linked'] as const;
export type Breakage = (typeof breakages)[number];

/** Bounds beyond this are not the same number in JavaScript and in Python. */
const exact = 2 ** 50;

/** A value that ComfyUI refuses, or at least one that is unusual. */
function brokenValue(breakage: Breakage, [type, rawOptions]: readonly unknown[]): unknown {
  const options = (rawOptions ?? {}) as { readonly min?: number; readonly max?: number };
  if (breakage === 'linked') return ['3', 0];
  if (Array.isArray(type) || type === 'COMBO') return breakage === 'low' ? 7 : 'no such choice';
  if (type !== 'INT' && type !== 'FLOAT') return undefined;
  if (breakage === 'text') return type === 'INT' ? '3.5' : 'a lot';
  const far = type === 'INT' ? 1 : 0.5;
  if (breakage === 'low') return typeof options.min === 'number' && options.min > -exact ? options.min - far : null;
  return typeof options.max === 'number' && options.max < exact ? options.max + far : true;
}

/** Node 1 is of the class and broken; node 2 shows what it makes. Undefined for a class that nothing can be shown of. */
export function brokenWorkflow(classType: string, declaration: unknown, breakage: Breakage): Workflow | undefined {
  const { input = {}, output = [], output_node: isOutput = false } = declaration as Declaration;
  if (!isOutput && output.length === 0) return undefined;
  const inputs: Record<string, unknown> = {};
  for (const block of [input['required'], input['optional']]) {
    for (const [name, spec] of Object.entries(block ?? {})) {
      const value = breakage === 'absent' ? undefined : brokenValue(breakage, spec);
      if (value !== undefined) inputs[name] = value;
    }
  }
  return {
    '1': { class_type: classType, inputs },
    ...(!isOutput && { '2': { class_type: 'PreviewAny', inputs: { source: ['1', 0] } } }),
    // Gives a LATENT, which few inputs take.
    '3': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
  };
}

/**
 * What differs between an answer and ours. Where ComfyUI broke off in the middle of a node (an exception in its own check, or in the code of the
 * class) it says nothing about the node's other inputs: then ours must only refuse the node, too.
 */
export function differences(theirs: readonly string[], ours: readonly string[]): string[] {
  const broken = new Set(theirs.filter((name) => name.includes('exception_during')).map((name) => name.split(' ')[0]));
  const counts = (name: string) => !broken.has(name.split(' ')[0]);
  return [
    ...theirs.filter((name) => counts(name) && !ours.includes(name)).map((name) => `only ComfyUI: ${name}`),
    ...ours.filter((name) => counts(name) && !theirs.includes(name)).map((name) => `only ours: ${name}`),
    ...[...broken]
      .filter((node) => !ours.some((name) => name.startsWith(`${node} `)))
      .map((node) => `only ComfyUI: ${node}`),
  ];
}

/** Errors as `node type input`, sorted; checks of the class itself aside, which need its code. */
export function errorNames(nodeErrors: unknown): string[] {
  const nodes = Object.entries((nodeErrors ?? {}) as Record<string, { readonly errors: readonly Refused[] }>);
  return nodes
    .flatMap(([node, { errors }]) =>
      errors.map(({ type, extra_info: info }) => `${node} ${type} ${info?.input_name ?? ''}`),
    )
    .filter((name) => !name.includes('custom_validation_failed'))
    .toSorted();
}

interface Refused {
  readonly type: string;
  readonly extra_info?: { readonly input_name?: string };
}
