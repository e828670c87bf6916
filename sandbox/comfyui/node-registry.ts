// The node classes a server knows, by class name. Neighbours: validation/, execution/, http/routes/object-info.ts.
// A declaration may be a function of the folders (file lists), so it is resolved at every use, as ComfyUI re-evaluates
// INPUT_TYPES (ComfyUI protocol notes §1.10).
import type {
  DeclarationContext,
  DeclarationValue,
  InputDeclaration,
  NodeDeclaration,
  NodeDefinition,
} from './node-definition.ts';

/** One declared input: its type (a list for a V1 combo), its group and its options. */
export interface DeclaredInput {
  readonly type: string | readonly DeclarationValue[];
  readonly group: 'required' | 'optional';
  readonly options: Readonly<Record<string, DeclarationValue>>;
}

/** Finds a declared, non-hidden input. */
export function findInput(declaration: NodeDeclaration, name: string): DeclaredInput | undefined {
  for (const group of ['required', 'optional'] as const) {
    const inputs = declaration.input[group];
    const found: InputDeclaration | undefined =
      inputs !== undefined && Object.hasOwn(inputs, name) ? inputs[name] : undefined;
    if (found !== undefined) return { type: found[0], group, options: found[1] ?? {} };
  }
  return undefined;
}

/** Names of all declared, non-hidden inputs: required ones first. */
export function inputNames(declaration: NodeDeclaration): string[] {
  return [...Object.keys(declaration.input.required ?? {}), ...Object.keys(declaration.input.optional ?? {})];
}

/** The Python types of hidden inputs (`PROMPT`, `UNIQUE_ID`, …) by input name. */
export function hiddenInputs(declaration: NodeDeclaration): Map<string, string> {
  const out = new Map<string, string>();
  for (const [name, declared] of Object.entries(declaration.input.hidden ?? {})) {
    const type = typeof declared === 'string' ? declared : declared[0];
    if (typeof type === 'string') out.set(name, type);
  }
  return out;
}

/** Whether the class is of the newer (V3) kind: those always carry these keys (§1.10). */
export function isV3(declaration: NodeDeclaration): boolean {
  return Object.hasOwn(declaration, 'api_node') && Object.hasOwn(declaration, 'deprecated');
}

/** The registered classes. */
export class NodeRegistry {
  private readonly byName = new Map<string, NodeDefinition>();
  private readonly context: DeclarationContext;
  private readonly outputs = new Map<string, boolean>();
  private hidden: ReadonlySet<string> = new Set();

  constructor(definitions: Iterable<NodeDefinition>, context: DeclarationContext) {
    this.context = context;
    for (const definition of definitions) this.byName.set(definition.classType, definition);
  }

  /** Where declarations, validators and change markers look for files. */
  get declarationContext(): DeclarationContext {
    return this.context;
  }

  get(classType: string): NodeDefinition | undefined {
    return this.hidden.has(classType) ? undefined : this.byName.get(classType);
  }

  classTypes(): string[] {
    return [...this.byName.keys()].filter((name) => !this.hidden.has(name));
  }

  /** Makes exactly these classes look as if they were not installed (fault F24). */
  hideOnly(classTypes: ReadonlySet<string>): void {
    this.hidden = classTypes;
  }

  /** The class's declaration as of now. Rejects with whatever the declaration raises. */
  async declare(definition: NodeDefinition): Promise<NodeDeclaration> {
    const declaration = definition.declaration;
    return typeof declaration === 'function' ? await declaration(this.context) : declaration;
  }

  /** Whether the class is an output node: a fixed trait, so a declaration that fails meanwhile does not matter. */
  async isOutput(classType: string): Promise<boolean> {
    const definition = this.get(classType);
    if (definition === undefined) return false;
    const known = this.outputs.get(classType);
    if (known !== undefined) return known;
    try {
      const isOutput = (await this.declare(definition)).output_node;
      this.outputs.set(classType, isOutput);
      return isOutput;
    } catch {
      return false;
    }
  }
}
