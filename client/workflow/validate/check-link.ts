/** The check of a link: its form, its source, the types at both ends (ComfyUI protocol notes §1.3.5 step 4). */
import type { ClassContract, InputContract } from './class-contract.ts';
import { inputConfig, type NodeCheck, place, where } from './node-check.ts';
import { pythonRepr, pythonText } from './python-values.ts';

/** Checks an input that holds a list: a link, as ComfyUI sees it. */
export function checkLink(check: NodeCheck, input: InputContract, value: readonly unknown[]): void {
  const { findings } = check;
  if (value.length !== 2) {
    findings.error({
      ...place(check, input.name),
      type: 'bad_linked_input',
      message: 'Bad linked input, must be a length-2 list of [node_id, slot_index]',
      details: input.name,
      extra_info: { input_name: input.name, input_config: inputConfig(input), received_value: value },
      summary: `${input.name} holds a list of ${value.length}; a link is a list of two, and a list as a value travels as {"__value__": [...]}`,
    });
    return;
  }
  const [source, slot] = value;
  const origin =
    typeof source === 'string' && Object.hasOwn(check.workflow, source) ? check.workflow[source] : undefined;
  if (origin === undefined) {
    reportDangling(check, input, value);
    return;
  }
  const outputs = check.contractOf(origin.class_type);
  // A class that nobody declares is an error of its own.
  if (outputs === undefined) return;
  const wrong = slotFault(slot, outputs, String(source));
  if (wrong === undefined) {
    const type = outputs.outputs.at(Number(slot));
    if (!linkFits(type, input)) reportMismatch(check, input, value, type);
    return;
  }
  const summary = `${input.name} is linked to ${wrong.summary}`;
  if (outputs.custom) findings.advise('link_doubtful', [check.id], `${where(check)}: ${summary}`);
  else reportThrown(check, input, value, wrong, summary);
}

/** What an error says of an input. */
type InputFacts = Pick<InputContract, 'name' | 'declared' | 'options'>;

/** Reports a link whose source is not in the workflow. */
export function reportDangling(check: NodeCheck, input: InputFacts, link: readonly unknown[]): void {
  const [source] = link;
  const summary = `${input.name} is linked to node ${String(source).slice(0, 60)}, which is not in the workflow`;
  reportThrown(check, input, link, { type: 'KeyError', text: pythonRepr(source) }, summary);
}

/** A slot that the source does not have; a pack's class may have more than it declares. */
function slotFault(slot: unknown, { outputs }: ClassContract, source: string) {
  if (typeof slot !== 'number' || !Number.isInteger(slot)) {
    const text = 'tuple indices must be integers or slices, not str';
    return { type: 'TypeError', text, summary: `an output of node ${source} that is no number` };
  }
  const { length } = outputs;
  // Python counts negative slots from the end.
  if (slot < length && slot >= -length) return undefined;
  const text = 'tuple index out of range';
  return { type: 'IndexError', text, summary: `output ${slot} of node ${source}, which has ${length}` };
}

/** ComfyUI throws here; an output node keeps the error, another node's is told by whoever asked for it (§1.3.5 step 6). */
function reportThrown(
  check: NodeCheck,
  input: InputFacts,
  link: readonly unknown[],
  thrown: { readonly type: string; readonly text: string },
  summary: string,
): void {
  const inner = !check.contract.isOutput;
  check.findings.error({
    ...place(check, input.name),
    type: inner ? 'exception_during_inner_validation' : 'exception_during_validation',
    message: inner ? 'Exception when validating inner node' : 'Exception when validating node',
    details: thrown.text,
    extra_info: {
      input_name: input.name,
      input_config: inputConfig(input),
      exception_message: thrown.text,
      exception_type: thrown.type,
      linked_node: link,
    },
    summary,
  });
}

function reportMismatch(check: NodeCheck, input: InputContract, link: readonly unknown[], type: unknown): void {
  const shown = (one: unknown) => (Array.isArray(one) ? 'COMBO' : String(one));
  const summary = `${input.name} takes ${input.type}, but it is linked to ${shown(type)} of node ${String(link[0])}`;
  // A class of a pack may look at the types itself, and then ComfyUI does not.
  if (check.contract.custom || check.contract.checksTypes) {
    check.findings.advise('link_doubtful', [check.id], `${where(check)}: ${summary}`);
    return;
  }
  check.findings.error({
    ...place(check, input.name),
    type: 'return_type_mismatch',
    message: 'Return type mismatch between linked nodes',
    details: `${input.name}, received_type(${pythonText(type)}) mismatch input_type(${pythonText(input.declared)})`,
    extra_info: {
      input_name: input.name,
      input_config: inputConfig(input),
      received_type: type,
      linked_node: link,
    },
    summary,
  });
}

/**
 * Whether ComfyUI lets an output of type `received` feed the input: equal, or with a type in common where several are named. `*` is a type that
 * equals every other in all packs that use it. A combo may feed a combo: which lists are equal differs by version.
 */
function linkFits(received: unknown, input: InputContract): boolean {
  const from = Array.isArray(received) ? 'COMBO' : String(received);
  if (from.startsWith('COMFY_')) return true;
  const names = (type: string) => type.split(',').map((name) => name.trim());
  const wanted = new Set(names(input.type));
  return wanted.has('*') || names(from).some((name) => name === '*' || wanted.has(name));
}
