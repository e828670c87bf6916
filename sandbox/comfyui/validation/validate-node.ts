// The recursive check of one node and everything it links to (ComfyUI protocol notes §1.3.5 steps 4 to 6 and 8).
// Invariants: 1. verdicts are memoised per request. 2. An exception while checking an upstream node lands on that node,
// one while checking the output node itself is thrown to the caller. 3. A cycle makes its nodes invalid without own errors,
// which is what ComfyUI 0.3.64 answers when it runs into Python's recursion limit.

import { asLink } from '../execution/links.ts';
import { type Constants, type NodeDeclaration, type NodeDefinition, NodeError } from '../node-definition.ts';
import { type DeclaredInput, findInput, inputNames, isV3, type NodeRegistry } from '../node-registry.ts';
import { fakeTraceback, keyError, pythonErrorInfo } from '../python-error.ts';
import { type PyDict, type PyValue, toPlain } from '../python-json.ts';
import { pyTypeName } from '../python-repr.ts';
import { checkConstant } from './check-constant.ts';
import {
  badLinkedInput,
  customValidationFailed,
  inputConfig,
  requiredInputMissing,
  returnTypeMismatch,
} from './input-errors.ts';
import { typesMatch } from './link-types.ts';
import type { NodeVerdict, PromptGraph, ValidationError } from './types.ts';

/** Shared by all checks of one request. */
export interface ValidationRun {
  readonly graph: PromptGraph;
  readonly registry: NodeRegistry;
  readonly memo: Map<string, NodeVerdict>;
  readonly visiting: Set<string>;
}

interface NodeUnderCheck {
  readonly id: string;
  readonly inputs: PyDict;
  readonly definition: NodeDefinition;
  readonly declaration: NodeDeclaration;
  readonly errors: ValidationError[];
  valid: boolean;
}

function nodeClass(run: ValidationRun, id: PyValue | undefined): { node: PyDict; definition: NodeDefinition } {
  if (Array.isArray(id) || id instanceof Map) throw new NodeError('TypeError', `unhashable type: '${pyTypeName(id)}'`);
  const node = typeof id === 'string' ? run.graph.get(id) : undefined;
  if (!(node instanceof Map)) throw keyError(id ?? null);
  const classType = node.get('class_type');
  const definition = typeof classType === 'string' ? run.registry.get(classType) : undefined;
  if (definition === undefined) throw keyError(classType ?? null);
  return { node, definition };
}

function inputsOf(node: PyDict): PyDict {
  const inputs = node.get('inputs');
  if (inputs instanceof Map) return inputs;
  if (inputs === undefined) throw keyError('inputs');
  // Python looks input names up with `in`, which works on text and lists and finds nothing there.
  if (typeof inputs === 'string' || Array.isArray(inputs)) return new Map();
  throw new NodeError('TypeError', `argument of type '${pyTypeName(inputs)}' is not iterable`);
}

async function outputType(run: ValidationRun, link: PyValue[]): Promise<unknown> {
  const { definition } = nodeClass(run, link[0]);
  const declaration = await run.registry.declare(definition);
  const outputs = declaration.output;
  const kind = isV3(declaration) ? 'list' : 'tuple';
  const slot = link[1];
  if (typeof slot !== 'number' && typeof slot !== 'boolean') {
    throw new NodeError('TypeError', `${kind} indices must be integers or slices, not ${pyTypeName(slot)}`);
  }
  const index = Number(slot);
  const found = outputs[index < 0 ? outputs.length + index : index];
  if (found === undefined) throw new NodeError('IndexError', `${kind} index out of range`);
  return found;
}

async function checkLink(
  run: ValidationRun,
  node: NodeUnderCheck,
  name: string,
  input: DeclaredInput,
  link: PyValue[],
) {
  if (link.length !== 2) {
    node.errors.push(badLinkedInput(name, input, link));
    return;
  }
  const received = await outputType(run, link);
  if (node.definition.validateInputs?.inputTypes !== true && !typesMatch(received, input.type)) {
    node.errors.push(returnTypeMismatch(name, input, received, link));
    return;
  }
  const source = String(link[0]);
  try {
    if (!(await validateNode(run, source)).valid) node.valid = false;
  } catch (error) {
    const info = pythonErrorInfo(error);
    node.valid = false;
    run.memo.set(source, { valid: false, errors: [innerException(name, input, link, info.type, info.message)] });
  }
}

function innerException(
  name: string,
  input: DeclaredInput,
  link: PyValue,
  type: string,
  message: string,
): ValidationError {
  return {
    type: 'exception_during_inner_validation',
    message: 'Exception when validating inner node',
    details: message,
    extra_info: {
      input_name: name,
      input_config: inputConfig(input),
      exception_message: message,
      exception_type: type,
      traceback: fakeTraceback('execution.py', 815, 'validate_inputs', 'r = await validate_inputs(…)'),
      linked_node: link,
    },
  };
}

function validatorArguments(node: NodeUnderCheck): string[] {
  const validator = node.definition.validateInputs;
  if (validator === undefined) return [];
  const present = [...node.inputs.keys()].filter((name) => findInput(node.declaration, name) !== undefined);
  if (validator.names === 'all') return present;
  const wanted = new Set(validator.names);
  const missing = validator.names.filter(
    (name) => !node.inputs.has(name) && findInput(node.declaration, name)?.group === 'required',
  );
  if (missing.length > 0) {
    const method = isV3(node.declaration) ? 'validate_inputs' : `${node.definition.classType}.VALIDATE_INPUTS`;
    throw new NodeError('TypeError', missingArguments(method, missing));
  }
  return present.filter((name) => wanted.has(name));
}

function missingArguments(method: string, names: readonly string[]): string {
  const quoted = names.map((name) => `'${name}'`);
  const list = quoted.length === 1 ? quoted[0] : `${quoted.slice(0, -1).join(', ')} and ${quoted.at(-1)}`;
  return `${method}() missing ${names.length} required positional argument${names.length === 1 ? '' : 's'}: ${list}`;
}

async function runOwnValidator(run: ValidationRun, node: NodeUnderCheck): Promise<void> {
  const validator = node.definition.validateInputs;
  if (validator === undefined) return;
  const names = validatorArguments(node);
  const constants: Record<string, unknown> = {};
  for (const name of names) {
    const value = node.inputs.get(name) ?? null;
    constants[name] = asLink(value) === undefined ? toPlain(value) : undefined;
  }
  const answer = await validator.validate(constants as Constants, run.registry.declarationContext);
  if (answer === true) return;
  for (const name of names) node.errors.push(customValidationFailed(name, answer));
}

async function checkInputs(run: ValidationRun, node: NodeUnderCheck): Promise<void> {
  const validator = node.definition.validateInputs;
  for (const name of inputNames(node.declaration)) {
    const input = findInput(node.declaration, name);
    if (input === undefined) continue;
    if (!node.inputs.has(name)) {
      if (input.group === 'required') node.errors.push(requiredInputMissing(name));
      continue;
    }
    const value = node.inputs.get(name) ?? null;
    if (Array.isArray(value)) {
      await checkLink(run, node, name, input, value);
      continue;
    }
    const own = validator !== undefined && (validator.names === 'all' || validator.names.includes(name));
    const error = checkConstant(name, input, node.inputs, run.registry.declarationContext.profile, own);
    if (error !== null) node.errors.push(error);
  }
}

/** Checks a node and, through its links, its ancestors. Rejects with the exception ComfyUI would let escape. */
export async function validateNode(run: ValidationRun, id: string): Promise<NodeVerdict> {
  const known = run.memo.get(id);
  if (known !== undefined) return known;
  if (run.visiting.has(id)) return { valid: false, errors: [] };
  run.visiting.add(id);
  try {
    const { node, definition } = nodeClass(run, id);
    const inputs = inputsOf(node);
    const declaration = await run.registry.declare(definition);
    const check: NodeUnderCheck = { id, inputs, definition, declaration, errors: [], valid: true };
    await checkInputs(run, check);
    await runOwnValidator(run, check);
    const verdict = { valid: check.valid && check.errors.length === 0, errors: check.errors };
    run.memo.set(id, verdict);
    return verdict;
  } finally {
    run.visiting.delete(id);
  }
}
