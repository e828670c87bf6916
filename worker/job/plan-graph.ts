/**
 * Checks a workflow against the ComfyUI that will run it and finds what has to be rewritten per run. Pure: nothing was written or posted
 * when this throws. {@link file://./bind-graph.ts} makes the graph that is posted out of the plan.
 */
import {
  type ApiNode,
  ComfyRunpodError,
  compareNodeIds,
  isLink,
  type JobInput,
  type Workflow,
} from '../../shared/index.ts';
import type { NodeClass } from '../comfy/index.ts';
import { applyGraphPolicy, assertPermitted, type GraphPolicy, type GraphPolicyContext } from './policy/graph-policy.ts';
import { assertLoaderPaths, unsafePath } from './policy/loader-paths.ts';

/** An input of a node. */
export interface InputPlace {
  readonly node: string;
  readonly input: string;
}

/** A checked workflow and what a run must rewrite in it. */
export interface GraphPlan {
  /** With injections, without nodes that no output needs, without titles. */
  readonly workflow: Workflow;
  readonly outputNodes: readonly string[];
  /** Inputs that hold the name of a sent file. */
  readonly fileUses: readonly (InputPlace & { readonly file: string })[];
  /** Literal prefixes of saved files. */
  readonly prefixes: readonly (InputPlace & { readonly prefix: string })[];
  /** Output nodes without a literal prefix: nothing in them changes from run to run. */
  readonly unprefixed: readonly string[];
  /** Texts of the caller's that must not show up in an error. */
  readonly secrets: readonly string[];
}

/** Prefix inputs that are called otherwise. */
const otherPrefixInputs: Readonly<Record<string, string>> = { SaveLoRANode: 'prefix' };

/**
 * Plans a job's graph. Throws what {@link applyGraphPolicy} and {@link assertLoaderPaths} throw, `WORKFLOW_NO_OUTPUT`, `FILE_NAME_UNSAFE`,
 * `INJECTION_TARGET_MISSING` or `INPUT_INVALID`.
 */
export function planGraph(
  job: JobInput,
  classes: ReadonlyMap<string, NodeClass>,
  policy: Omit<GraphPolicyContext, 'catalog'> = {},
): GraphPlan {
  const injected = applyInjections(job);
  applyGraphPolicy(injected, { ...policy, catalog: classes });
  const outputNodes = Object.keys(injected)
    .filter((id) => classes.get(injected[id]?.class_type ?? '')?.outputNode)
    .toSorted(compareNodeIds);
  if (outputNodes.length === 0) {
    throw new ComfyRunpodError('WORKFLOW_NO_OUTPUT', 'The workflow has no output node.');
  }
  assertSelectionExists(job, injected);
  const names = new Set((job.files ?? []).map((file) => file.name));
  assertFilesUsed(names, findFileUses(injected, names));
  const workflow = pruneToOutputs(injected, outputNodes);
  const fileUses = findFileUses(workflow, names);
  assertLoaderPaths(workflow, classes, fileUses);
  const prefixes = findPrefixes(workflow);
  const prefixed = new Set(prefixes.map((place) => place.node));
  return {
    workflow,
    outputNodes,
    fileUses,
    prefixes,
    unprefixed: outputNodes.filter((id) => !prefixed.has(id)),
    secrets: callerTexts(workflow, classes),
  };
}

/**
 * Names of the job's files, all of which some input of a permitted graph names: what can be known before ComfyUI tells its classes. Throws
 * what {@link assertPermitted} throws, `INPUT_INVALID` for a file that nothing names, and `INJECTION_TARGET_MISSING`.
 */
export function namedFiles(job: JobInput, policy: GraphPolicy = {}): ReadonlySet<string> {
  const injected = applyInjections(job);
  assertPermitted(injected, policy);
  const names = new Set((job.files ?? []).map((file) => file.name));
  assertFilesUsed(names, findFileUses(injected, names));
  return names;
}

/** The workflow with files and values put in. Targets were checked when the input was parsed. */
export function applyInjections(job: JobInput): Workflow {
  const workflow: Workflow = { ...job.workflow };
  for (const injection of job.injections ?? []) {
    const node = workflow[injection.node];
    if (!node) {
      throw new ComfyRunpodError(
        'INJECTION_TARGET_MISSING',
        `The workflow has no node ${JSON.stringify(injection.node)}.`,
      );
    }
    const value = 'file' in injection ? injection.file : injection.value;
    workflow[injection.node] = { ...node, inputs: { ...node.inputs, [injection.input]: value } };
  }
  return workflow;
}

function assertSelectionExists(job: JobInput, workflow: Workflow): void {
  const absent = (job.outputs?.nodes ?? []).filter((id) => !Object.hasOwn(workflow, id));
  if (absent.length === 0) return;
  const listed = absent.slice(0, 10).map((id) => JSON.stringify(id.slice(0, 60)));
  throw new ComfyRunpodError(
    'INPUT_INVALID',
    `outputs.nodes names nodes that the workflow lacks: ${listed.join(', ')}.`,
    {
      issues: absent.map((id) => ({ node: id, field: 'outputs.nodes', message: 'no such node' })),
    },
  );
}

/** Only ancestors of outputs run, but unreachable nodes can still kill ComfyUI's worker thread (§6.6). */
function pruneToOutputs(workflow: Workflow, outputNodes: readonly string[]): Workflow {
  const needed = new Set<string>();
  const open = [...outputNodes];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (needed.has(id)) continue;
    needed.add(id);
    for (const value of Object.values(workflow[id]?.inputs ?? {})) {
      if (isLink(value) && Object.hasOwn(workflow, value[0])) open.push(value[0]);
    }
  }
  // Titles are the caller's words and ComfyUI has no use for them.
  const bare = (node: ApiNode): ApiNode => ({ class_type: node.class_type, inputs: node.inputs });
  return Object.fromEntries(
    Object.entries(workflow)
      .filter(([id]) => needed.has(id))
      .map(([id, node]) => [id, bare(node)]),
  );
}

/** The file that a value names: the name itself, or with ComfyUI's mark of the input folder (§3.7). */
function namedFile(value: unknown, names: ReadonlySet<string>): string | undefined {
  if (typeof value !== 'string') return undefined;
  if (names.has(value)) return value;
  const bare = value.replace(/ \[input\]$/, '');
  return names.has(bare) ? bare : undefined;
}

function findFileUses(workflow: Workflow, names: ReadonlySet<string>): GraphPlan['fileUses'] {
  return inputsOf(workflow).flatMap(({ node, input, value }) => {
    const file = isPrefixInput(workflow[node], input) ? undefined : namedFile(value, names);
    return file === undefined ? [] : [{ node, input, file }];
  });
}

function assertFilesUsed(names: ReadonlySet<string>, uses: GraphPlan['fileUses']): void {
  const used = new Set(uses.map((use) => use.file));
  const unused = [...names].filter((name) => !used.has(name));
  if (unused.length === 0) return;
  const listed = unused.slice(0, 10).map((name) => JSON.stringify(name));
  const verb = unused.length === 1 ? 'file is' : 'files are';
  throw new ComfyRunpodError(
    'INPUT_INVALID',
    `${unused.length} sent ${verb} named by no input of the workflow: ${listed.join(', ')}.`,
    {
      issues: unused.map((name) => ({ field: 'files', message: `no input names ${JSON.stringify(name)}` })),
      nextStep: 'Put the name into a loader input of the workflow, add an injection, or leave the file out.',
    },
  );
}

function findPrefixes(workflow: Workflow): GraphPlan['prefixes'] {
  return inputsOf(workflow).flatMap(({ node, input, value }) => {
    const owner = workflow[node];
    if (typeof value !== 'string' || !isPrefixInput(owner, input)) return [];
    const reason = unsafePrefixReason(value);
    if (reason !== undefined) throw unsafePath({ node, input }, owner?.class_type ?? '', reason);
    return [{ node, input, prefix: value }];
  });
}

function isPrefixInput(node: ApiNode | undefined, input: string): boolean {
  return input === 'filename_prefix' || (node !== undefined && otherPrefixInputs[node.class_type] === input);
}

function unsafePrefixReason(prefix: string): string | undefined {
  if (prefix.startsWith('/') || prefix.startsWith('\\') || /^[A-Za-z]:/.test(prefix)) return 'it is an absolute path';
  if (prefix.split(/[/\\]/).includes('..')) return 'it contains ".."';
  return prefix.includes('\0') ? 'it contains NUL' : undefined;
}

/** Texts that people type into nodes: prompts above all. Choices and file names are not among them. */
function callerTexts(workflow: Workflow, classes: ReadonlyMap<string, NodeClass>): string[] {
  return inputsOf(workflow).flatMap(({ node, input, value }) => {
    const owner = workflow[node];
    if (typeof value !== 'string' || value.trim().length < 4 || isPrefixInput(owner, input)) return [];
    const type = classes.get(owner?.class_type ?? '')?.inputs.get(input)?.type;
    const isText = type === 'STRING' || (type !== 'COMBO' && value.length >= 20);
    return isText ? [value] : [];
  });
}

function inputsOf(workflow: Workflow): (InputPlace & { readonly value: unknown })[] {
  return Object.entries(workflow).flatMap(([node, { inputs }]) =>
    Object.entries(inputs).map(([input, value]) => ({ node, input, value })),
  );
}
