/**
 * The check of one node as ComfyUI does it before it queues a prompt (ComfyUI protocol notes §1.3.5 step 4, §1.3.6). What only ComfyUI itself can
 * know (files of its input folder, checks of custom classes) is never an error here.
 */
import { isLink } from '../../../shared/index.ts';
import { checkConstant } from './check-constant.ts';
import { checkLink, reportDangling } from './check-link.ts';
import type { InputContract } from './class-contract.ts';
import { type NodeCheck, place, where } from './node-check.ts';

/** Checks every declared input; undeclared ones are ignored, as ComfyUI ignores them. */
export function checkNode(check: NodeCheck): void {
  const { node, contract } = check;
  for (const input of contract.inputs) {
    if (input.dynamic) continue;
    if (!Object.hasOwn(node.inputs, input.name)) {
      if (input.required) reportMissing(check, input);
      continue;
    }
    const value = node.inputs[input.name];
    if (Array.isArray(value)) checkLink(check, input, value);
    else checkConstant(check, input, value);
  }
  checkUndeclared(check);
}

/**
 * ComfyUI does not look at inputs that the class does not declare, but it follows their links when it runs the node: one that leads nowhere ends
 * the thread that runs prompts, and with it the worker (seen with 0.3.64).
 */
function checkUndeclared(check: NodeCheck): void {
  const checked = new Set(check.contract.inputs.filter((input) => !input.dynamic).map((input) => input.name));
  for (const [name, value] of Object.entries(check.node.inputs)) {
    if (checked.has(name) || !isLink(value) || Object.hasOwn(check.workflow, value[0])) continue;
    reportDangling(check, { name, declared: 'undeclared', options: {} }, value);
  }
}

function reportMissing(check: NodeCheck, input: InputContract): void {
  // Another version may not ask for it, or fill it itself.
  if (!check.exact) {
    check.findings.advise('value_doubtful', [check.id], `${where(check)}: the required input ${input.name} is missing`);
    return;
  }
  check.findings.error({
    ...place(check, input.name),
    type: 'required_input_missing',
    message: 'Required input is missing',
    details: input.name,
    extra_info: { input_name: input.name },
    summary: `the required input ${input.name} is missing`,
  });
}
