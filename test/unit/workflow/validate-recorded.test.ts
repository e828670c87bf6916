// The validation says what a real ComfyUI said: to hand-made broken workflows, and to every core class with every input broken.
import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadObjectInfo } from '../../../client/data/load-object-info.ts';
import { convertWorkflow, type ObjectInfo, promptRefusal, validateWorkflow } from '../../../client/workflow/index.ts';
import type { Workflow } from '../../../shared/index.ts';
import { type Breakage, breakages, brokenWorkflow, differences, errorNames } from '../../support/validation-sweep.ts';

const fixtures = new URL('../../fixtures/', import.meta.url);
const read = (path: string) => JSON.parse(readFileSync(new URL(path, fixtures), 'utf8')) as unknown;

interface Answered {
  readonly name: string;
  readonly prompt: Workflow;
  readonly status: number;
  readonly error?: { readonly type: string; readonly details: string };
  readonly node_errors: Readonly<
    Record<
      string,
      { readonly errors: readonly object[]; readonly class_type: string; readonly dependent_outputs: readonly string[] }
    >
  >;
}

const { cases } = read('validation/answers.json') as { readonly cases: readonly Answered[] };

let objectInfo: ObjectInfo;
beforeAll(async () => {
  ({ objectInfo } = await loadObjectInfo());
});

function refuse(workflow: Workflow) {
  return promptRefusal(validateWorkflow(workflow, objectInfo), workflow, objectInfo);
}

describe('what ComfyUI answered', () => {
  it.each(cases.map((answered) => [answered.name, answered] as const))('to %s', (_, answered) => {
    const ours = refuse(answered.prompt);
    const theirs = answered.node_errors;
    if (answered.status === 200 && Object.keys(theirs).length === 0) {
      expect(ours).toBeUndefined();
      return;
    }
    if (answered.error !== undefined) expect(ours?.error.type).toBe(answered.error.type);
    const names = errorNames(ours?.node_errors);
    if (/feed/.test(answered.name)) {
      // This version runs out of stack; later ones name the nodes in these words.
      expect(names.every((name) => name.includes('dependency_cycle'))).toBe(true);
      return;
    }
    expect(differences(errorNames(theirs), names)).toEqual([]);
    for (const [node, refused] of Object.entries(theirs)) {
      const { errors, ...about } = ours?.node_errors[node] ?? { errors: [] };
      expect(about).toEqual({ class_type: refused.class_type, dependent_outputs: refused.dependent_outputs });
      if (errorNames(theirs).some((name) => name.includes('exception'))) continue;
      expect(errors.map(comparable).toSorted()).toEqual(refused.errors.map(comparable).toSorted());
    }
  });

  /** An error without texts for people in the declaration, which the package does not carry, and without Python's words for a failed conversion. */
  function comparable(error: object): string {
    return JSON.stringify(error, (key, value: unknown) => {
      if (key === 'tooltip' || key === 'exception_message') return undefined;
      if (key === 'details' && 'type' in error && error.type === 'invalid_input_type') return undefined;
      // JSON.parse can't tell 10 from 10.0.
      if (key === 'message') return String(value).replaceAll(/(\d)\.0\b/g, '$1');
      return value;
    });
  }
});

describe('every core class with its inputs broken', () => {
  const recorded = read('validation/every-class.json') as Readonly<
    Record<string, Partial<Record<Breakage, Readonly<Record<string, readonly string[]>>>>>
  >;

  /** An upload flag says elsewhere that the class checks the file itself; here it does not. Nothing is refused wrongly. */
  const notFound = new Set(['Load3D', 'Load3DAnimation']);

  it.each(breakages)('is refused for the same inputs, in the same words: %s', (breakage) => {
    const wrong: string[] = [];
    let compared = 0;
    for (const [name, answers] of Object.entries(recorded)) {
      const answer = answers[breakage];
      const workflow = brokenWorkflow(name, objectInfo[name], breakage);
      if (answer === undefined || workflow === undefined || notFound.has(name)) continue;
      const theirs = Object.entries(answer).flatMap(([type, inputs]) => inputs.map((input) => `${type} ${input}`));
      wrong.push(...differences(theirs, errorNames(refuse(workflow)?.node_errors)).map((text) => `${name}: ${text}`));
      compared += theirs.length;
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(400);
  });
});

describe('nothing that runs is refused', () => {
  const pairs = readdirSync(new URL('workflows/pairs/', fixtures)).map((name) => read(`workflows/pairs/${name}`)) as {
    readonly workflow: unknown;
    readonly prompt: Workflow;
  }[];

  /** The declarations of a server that has the models of a workflow. */
  function withModels(workflow: Workflow): ObjectInfo {
    const classes = structuredClone(objectInfo) as Record<string, { input: Record<string, Record<string, unknown[]>> }>;
    for (const { class_type: classType, inputs } of Object.values(workflow)) {
      for (const [name, value] of Object.entries(inputs)) {
        const [type, options] = classes[classType]?.input['required']?.[name] ?? [];
        const list = type === 'COMBO' ? (options as { options?: unknown[] }).options : type;
        if (Array.isArray(list) && typeof value === 'string' && value.includes('.')) list.push(value);
      }
    }
    return classes;
  }

  it('of 40 real workflows, converted, where their models are', () => {
    for (const { workflow: editor } of pairs) {
      const { workflow } = convertWorkflow(editor, objectInfo);
      expect(validateWorkflow(workflow, withModels(workflow)).errors).toEqual([]);
    }
  });

  it('of 40 real workflows by declarations of another version, as recorded in their day', () => {
    for (const { prompt } of pairs) expect(validateWorkflow(prompt, objectInfo, { exact: false }).errors).toEqual([]);
  });

  it('of the models that they lack, all are named where it is known that they are not there', () => {
    for (const { prompt } of pairs) {
      const { errors } = validateWorkflow(prompt, objectInfo);
      const missing = errors
        .filter(({ type }) => type === 'value_not_in_list')
        .map(({ extra_info }) => extra_info['received_value']);
      const files = Object.values(prompt).flatMap(({ inputs }) =>
        Object.values(inputs).filter(
          (value) => typeof value === 'string' && /\.(safetensors|pth|ckpt|pt)$/.test(value),
        ),
      );
      expect(new Set(missing)).toEqual(new Set(files));
    }
  });

  it('of the graphs that a real ComfyUI ran', () => {
    const { cases: goldens } = read('comfyui/goldens/index.json') as {
      readonly cases: readonly { readonly graph: Workflow }[];
    };
    expect(goldens.length).toBeGreaterThanOrEqual(39);
    for (const { graph } of goldens) expect(validateWorkflow(graph, objectInfo).errors).toEqual([]);
  });
});
