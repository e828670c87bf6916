/** `NODE.input=value`: what a person writes, the node that is meant, and the value as the input takes it. Pure. */
import { type ApiNode, ComfyRunpodError, isLink, nodeTitle, type Workflow } from '../../../shared/index.ts';
import { type DeclaredInput, findClass, type ObjectInfo } from '../convert/object-info.ts';
import { nearestNames } from '../validate/nearest-names.ts';
import { type Spot, spotOf, spotText } from './spots.ts';

/** One wish as it was written. */
export interface Assignment {
  /** `NODE.input`: the node by id, title or class. */
  readonly target: string;
  readonly value: string;
}

/**
 * Splits `KSampler.steps=30` at the first `=`; with a workflow, at the first one before which stands a node that it has: titles may hold `=`. Throws
 * `USAGE`.
 */
export function parseAssignment(text: string, workflow: Workflow = {}): Assignment {
  const at = splitAt(text, workflow);
  const target = text.slice(0, Math.max(0, at)).trim();
  if (!/^.+\..+$/.test(target)) {
    throw new ComfyRunpodError('USAGE', 'A --set is not NODE.input=value.', {
      nextStep: 'Write it like "KSampler.steps=30" or 3.cfg=7; `comfy-runpod inspect` lists nodes and inputs.',
    });
  }
  return { target, value: text.slice(at + 1) };
}

function splitAt(text: string, workflow: Workflow): number {
  for (let at = text.indexOf('='); at !== -1; at = text.indexOf('=', at + 1)) {
    const target = text.slice(0, at).trim();
    for (let dot = target.lastIndexOf('.'); dot > 0; dot = target.lastIndexOf('.', dot - 1)) {
      if (matchingNodes(workflow, target.slice(0, dot)).length > 0) return at;
    }
  }
  return text.indexOf('=');
}

function missing(message: string, nextStep: string): ComfyRunpodError {
  return new ComfyRunpodError('INJECTION_TARGET_MISSING', message, { nextStep });
}

function ambiguous(message: string, candidates: readonly Spot[]): ComfyRunpodError {
  return new ComfyRunpodError('INJECTION_AMBIGUOUS', message, {
    issues: candidates.slice(0, 20).map((spot) => ({
      node: spot.node,
      classType: spot.classType,
      field: spot.inputs.join('+'),
      message: 'could be meant',
    })),
  });
}

/**
 * The spot that `target` means. The input's name may have dots in it: the longest name of a node that exists is taken. Throws
 * `INJECTION_TARGET_MISSING`, or `INJECTION_AMBIGUOUS` with the candidates where several nodes fit.
 */
export function resolveTarget(workflow: Workflow, target: string, objectInfo?: ObjectInfo): Spot {
  const shown = JSON.stringify(target.slice(0, 80));
  let known: Spot[] = [];
  for (let at = target.lastIndexOf('.'); at > 0; at = target.lastIndexOf('.', at - 1)) {
    const nodes = matchingNodes(workflow, target.slice(0, at));
    const input = target.slice(at + 1);
    if (nodes.length > 0 && known.length === 0) known = nodes.map((id) => spotOf(workflow, id, [input]));
    const fitting = nodes.filter((id) => takesInput(workflow[id], input, objectInfo));
    const [only] = fitting;
    if (only !== undefined && fitting.length === 1) return spotOf(workflow, only, [input]);
    if (fitting.length > 1) {
      const spots = fitting.map((id) => spotOf(workflow, id, [input]));
      const listed = spots.slice(0, 10).map(spotText).join(', ');
      throw ambiguous(`${shown} could mean ${fitting.length} inputs: ${listed}.`, spots);
    }
  }
  const [node] = known;
  if (node === undefined) {
    const name = target.slice(0, target.lastIndexOf('.'));
    const near = nearestNames(name, nodeNames(workflow)).join(', ');
    throw missing(`No node has the id, title or class of ${shown}.`, near === '' ? listNodes : `Did you mean ${near}?`);
  }
  const inputs = inputNames(workflow[node.node], objectInfo);
  const near = nearestNames(node.inputs[0] ?? '', inputs).join(', ');
  const next = near === '' ? `It has: ${inputs.slice(0, 20).join(', ')}.` : `Did you mean ${near}?`;
  throw missing(
    `Node ${node.node} (${node.classType.slice(0, 60)}) has no input ${JSON.stringify(node.inputs[0]?.slice(0, 60))}.`,
    next,
  );
}

const listNodes = '`comfy-runpod inspect` lists nodes and inputs.';

/** Nodes by id, else by title, else by class, else by either in other capitals. */
function matchingNodes(workflow: Workflow, name: string): string[] {
  if (Object.hasOwn(workflow, name)) return [name];
  const by = (same: (node: ApiNode) => boolean) =>
    Object.entries(workflow)
      .filter(([, node]) => same(node))
      .map(([id]) => id);
  const lower = name.toLowerCase();
  for (const test of [
    (node: ApiNode) => nodeTitle(node) === name,
    (node: ApiNode) => node.class_type === name,
    (node: ApiNode) => node.inputs['input_id'] === name,
    (node: ApiNode) => nodeTitle(node).toLowerCase() === lower || node.class_type.toLowerCase() === lower,
  ]) {
    const found = by(test);
    if (found.length > 0) return found;
  }
  return [];
}

function nodeNames(workflow: Workflow): Set<string> {
  return new Set(Object.entries(workflow).flatMap(([id, node]) => [id, nodeTitle(node), node.class_type]));
}

function inputNames(node: ApiNode | undefined, objectInfo: ObjectInfo | undefined): string[] {
  const declared = node && objectInfo && findClass(objectInfo, node.class_type);
  return [...new Set([...Object.keys(node?.inputs ?? {}), ...(declared?.inputsByName.keys() ?? [])])];
}

function takesInput(node: ApiNode | undefined, name: string, objectInfo: ObjectInfo | undefined): boolean {
  return inputNames(node, objectInfo).includes(name);
}

/** The text as the value that the input takes. Throws `INPUT_INVALID` for a wrong type, range or choice, and for an input that a link fills. */
export function valueFor(workflow: Workflow, spot: Spot, text: string, objectInfo?: ObjectInfo): unknown {
  const [name = ''] = spot.inputs;
  const node = workflow[spot.node];
  const current = node?.inputs[name];
  if (isLink(current)) {
    throw wrong(
      spot,
      `is filled by node ${current[0]}`,
      `Set the value there: \`comfy-runpod inspect\` lists what node ${current[0]} takes.`,
    );
  }
  const declared = node && objectInfo && findClass(objectInfo, node.class_type)?.inputsByName.get(name);
  if (declared && declared.widget === undefined && current === undefined)
    throw wrong(spot, 'takes a link, not a value');
  return declared?.widget === undefined ? likeCurrent(spot, current, text) : byDeclaration(spot, declared, text);
}

function wrong(spot: Spot, why: string, nextStep?: string): ComfyRunpodError {
  return new ComfyRunpodError('INPUT_INVALID', `${spotText(spot)} ${why}.`, {
    issues: [{ node: spot.node, classType: spot.classType, field: spot.inputs.join('+'), message: why }],
    ...(nextStep !== undefined && { nextStep }),
  });
}

function byDeclaration(spot: Spot, declared: DeclaredInput, text: string): unknown {
  switch (declared.widget) {
    case 'int':
    case 'float':
      return numberFor(spot, declared, text);
    case 'boolean':
      return booleanFor(spot, text);
    case 'combo':
      return choiceFor(spot, declared, text);
    default:
      return text;
  }
}

function numberFor(spot: Spot, { widget, options }: DeclaredInput, text: string): number {
  const value = Number(text);
  const whole = widget === 'int';
  if (text.trim() === '' || !Number.isFinite(value)) throw wrong(spot, `takes a ${whole ? 'whole ' : ''}number`);
  if (whole && !Number.isInteger(value)) throw wrong(spot, 'takes a whole number');
  if (whole && !Number.isSafeInteger(value))
    throw wrong(spot, `takes whole numbers up to ${Number.MAX_SAFE_INTEGER} from here`);
  const { min, max } = options;
  if (typeof min === 'number' && value < min) throw wrong(spot, `takes no less than ${min}`);
  if (typeof max === 'number' && value > max) throw wrong(spot, `takes no more than ${max}`);
  return value;
}

function booleanFor(spot: Spot, text: string): boolean {
  const word = text.trim().toLowerCase();
  if (['true', 'yes', 'on', '1'].includes(word)) return true;
  if (['false', 'no', 'off', '0'].includes(word)) return false;
  throw wrong(spot, 'takes true or false');
}

function choiceFor(spot: Spot, { choices = [], options }: DeclaredInput, text: string): unknown {
  const found = choices.find((choice) => String(choice) === text);
  if (found !== undefined) return found;
  // Lists of files are those of another machine, or hold what is sent with the job.
  const open = Object.keys(options).some((option) => option.endsWith('_upload')) || choices.length === 0;
  const files = choices.some((choice) =>
    /\.(safetensors|ckpt|pt|pth|bin|gguf|onnx|png|jpe?g|webp|mp4|wav|mp3|flac|yaml|json)$/i.test(String(choice)),
  );
  if (open || files) return text;
  const near = nearestNames(text, choices.map(String)).join(', ');
  throw wrong(
    spot,
    'does not have that choice',
    near === '' ? `It has: ${choices.slice(0, 20).join(', ')}.` : `Did you mean ${near}?`,
  );
}

/** Without a declaration the value stays of the kind that it was. */
function likeCurrent(spot: Spot, current: unknown, text: string): unknown {
  if (typeof current === 'number') {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) throw wrong(spot, 'takes a number');
    return value;
  }
  if (typeof current === 'boolean') return booleanFor(spot, text);
  if (typeof current === 'object' && current !== null)
    throw wrong(spot, 'holds a list or an object, which can not be written so');
  return text;
}
