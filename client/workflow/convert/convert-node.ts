/** One node of the unfolded workflow -> one node of the API format: named values, texts as the editor would send them, links. */
import { type ApiNode, isLink } from '../../../shared/index.ts';
import { resolveDynamicPrompt } from './dynamic-prompt.ts';
import { type FlatNode, type RoleOf, titleOf } from './flatten.ts';
import { isObject } from './json-values.ts';
import { normalizeCombo } from './normalize-combo.ts';
import { type DeclaredInput, queueTimeTypes } from './object-info.ts';
import { guessWidgets, pairWidgets } from './pair-widgets.ts';
import { innerOverrides } from './promoted-values.ts';
import { nameList, type ReportBuilder } from './report.ts';
import { resolveInput } from './resolve-input.ts';
import { powerLoras } from './rgthree-loras.ts';
import { type FindWidgetValue, replacePlaceholders } from './text-placeholders.ts';

/** What the conversion of one node needs to know. */
export interface NodeContext {
  readonly roleOf: RoleOf;
  readonly report: ReportBuilder;
  /** True: texts become what the editor would send. */
  readonly resolveText: boolean;
  readonly random: () => number;
  readonly now: () => Date;
  readonly findValue: FindWidgetValue;
}

/** Named values of a node's own widgets, before links. */
export interface OwnValues {
  readonly values: Map<string, unknown>;
  readonly declared: ReadonlyMap<string, DeclaredInput>;
}

/** Names the values of a node and reports what is doubtful about them. Without `report` nothing is reported. */
export function ownValues(flat: FlatNode, report?: ReportBuilder): OwnValues {
  const { node, role, scope } = flat;
  const overrides = innerOverrides(scope.instance?.promoted, node.id);
  if (role.kind !== 'real') {
    const guessed = guessWidgets(node, overrides);
    return { values: guessed ?? new Map<string, unknown>(), declared: new Map() };
  }
  const loras = powerLoras(node);
  if (loras) return { values: loras, declared: role.nodeClass.inputsByName };
  const { values, declared, defaulted, doubtful } = pairWidgets(role.nodeClass.inputs, node, overrides);
  if (defaulted.size > 0)
    report?.note(flat, `not in the file, so the declared default is used: ${nameList([...defaulted])}`);
  if (doubtful.length > 0) {
    report?.note(
      flat,
      `saved with another version of the class? The value does not fit its declaration: ${nameList(doubtful)}`,
    );
  }
  return { values, declared };
}

/** Array values would be taken for links by the server. */
function wrap(value: unknown): unknown {
  return Array.isArray(value) ? { __value__: value } : value;
}

/** Converts a node that the server is to run. */
export function convertNode(flat: FlatNode, context: NodeContext): ApiNode {
  const { values, declared } = ownValues(flat, context.report);
  const inputs = new Map<string, unknown>();
  for (const [name, value] of values) inputs.set(name, sent(flat, declared.get(name), name, value, context));
  for (const [slot, input] of flat.node.inputs.entries()) {
    if (input.name === '') continue;
    const source = resolveInput(flat.scope, flat.node, slot, context.roleOf);
    if (source.kind === 'link') inputs.set(input.name, [source.id, source.slot]);
    else if (source.kind === 'value') {
      const replaced =
        source.from?.properties['Run widget replace on values'] === true && typeof source.value === 'string';
      const value =
        replaced && context.resolveText
          ? replacePlaceholders(String(source.value), context.findValue, context.now)
          : source.value;
      inputs.set(input.name, sent(flat, declared.get(input.name), input.name, value, context));
    } else if (source.reason !== undefined)
      context.report.note(flat, `input ${nameList([input.name])} is not linked: ${source.reason}`);
  }
  reportMissing(flat, declared, inputs, context.report);
  return { class_type: flat.node.type, inputs: Object.fromEntries(inputs), _meta: { title: titleOf(flat) } };
}

/** The value as the server gets it. */
function sent(
  flat: FlatNode,
  input: DeclaredInput | undefined,
  name: string,
  value: unknown,
  context: NodeContext,
): unknown {
  if (input?.choices) {
    const normal = normalizeCombo(value, input.choices);
    if (normal !== value) context.report.note(flat, `spelled as the server spells it: ${nameList([name])}`);
    return wrap(normal);
  }
  if (typeof value !== 'string' || !context.resolveText) return wrap(value);
  if (input?.options['dynamicPrompts'] === true) return resolveDynamicPrompt(value, context.random);
  const savesFiles = flat.role.kind === 'real' && flat.role.nodeClass.isOutput;
  return savesFiles && name === 'filename_prefix' ? replacePlaceholders(value, context.findValue, context.now) : value;
}

/** Values that only a running editor has. */
function reportMissing(
  flat: FlatNode,
  declared: ReadonlyMap<string, DeclaredInput>,
  inputs: ReadonlyMap<string, unknown>,
  report: ReportBuilder,
): void {
  const live = [...declared.values()].filter(
    (input) => queueTimeTypes.has(input.type) && !isLink(inputs.get(input.name)),
  );
  if (live.length > 0)
    report.refuse(
      flat,
      `the editor makes this value when it queues, the file has none: ${nameList(live.map((input) => input.name))}`,
    );
  const odd = [...declared.values()].filter(
    (input) => /^COMFY_/.test(input.type) && !knownDynamicTypes.has(input.type),
  );
  if (odd.length > 0)
    report.refuse(flat, `inputs of a kind that is not known here: ${nameList(odd.map((input) => input.name))}`);
}

const knownDynamicTypes: ReadonlySet<string> = new Set([
  'COMFY_DYNAMICCOMBO_V3',
  'COMFY_AUTOGROW_V3',
  'COMFY_MATCHTYPE_V3',
]);

/** True when a node of an unknown class has values whose names can't be told. */
export function hasUnnamedValues(flat: FlatNode): boolean {
  const { values } = flat.node;
  if (
    values === undefined ||
    (Array.isArray(values) && values.length === 0) ||
    (isObject(values) && Object.keys(values).length === 0)
  )
    return false;
  return guessWidgets(flat.node) === undefined;
}
