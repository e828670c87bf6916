// Declarations of the stand-in's own classes, in the shape `/object_info` sends (ComfyUI protocol notes §1.10).
import type { InputDeclaration, InputGroups, NodeDeclaration } from '../node-definition.ts';

/** What differs from class to class. */
export interface DeclarationSketch {
  readonly classType: string;
  readonly description: string;
  readonly required?: Readonly<Record<string, InputDeclaration>>;
  readonly optional?: Readonly<Record<string, InputDeclaration>>;
  readonly hidden?: Readonly<Record<string, string>>;
  readonly output?: readonly string[];
  readonly outputIsList?: readonly boolean[];
  readonly outputNode?: boolean;
}

/** A V1 declaration in the category `sandbox`. */
export function declareSandboxNode(sketch: DeclarationSketch): NodeDeclaration {
  const input: InputGroups = {
    required: sketch.required ?? {},
    ...(sketch.optional === undefined ? {} : { optional: sketch.optional }),
    ...(sketch.hidden === undefined ? {} : { hidden: sketch.hidden }),
  };
  const output = sketch.output ?? [];
  return {
    input,
    input_order: Object.fromEntries(Object.entries(input).map(([group, inputs]) => [group, Object.keys(inputs ?? {})])),
    output,
    output_is_list: sketch.outputIsList ?? output.map(() => false),
    output_name: output,
    name: sketch.classType,
    display_name: sketch.classType,
    description: sketch.description,
    python_module: 'custom_nodes.sandbox',
    category: 'sandbox',
    output_node: sketch.outputNode ?? false,
  };
}
