/**
 * What `/object_info` declares about node classes, in the one form that the conversion uses. Both dialects are read: V1 (a
 * list is a combo) and V3 (`["COMBO", {options}]`, dynamic combos). Source: ComfyUI protocol notes §1.10 and §3.10 step 4.
 */
import { isObject, type JsonObject, listOf, own, textOf } from './json-values.ts';
import { perClass } from './per-class.ts';

/** The parsed answer of ComfyUI's `GET /object_info`. Read leniently: classes that are malformed count as unknown. */
export type ObjectInfo = Readonly<Record<string, unknown>>;

/** How an input is edited on its node. */
export type WidgetKind = 'int' | 'float' | 'string' | 'boolean' | 'combo' | 'dynamic-combo' | 'autogrow' | 'custom';

/** One declared input. */
export interface DeclaredInput {
  readonly name: string;
  /** Declared type; `COMBO` for both forms of a combo. */
  readonly type: string;
  /** Undefined for inputs that only take a link. */
  readonly widget: WidgetKind | undefined;
  readonly options: JsonObject;
  /** Values of a combo. */
  readonly choices: readonly unknown[] | undefined;
  /** True for the upload button that the editor adds behind the required inputs: it owns a saved value but is no input. */
  readonly uploadButton: boolean;
}

/** One declared class. */
export interface NodeClass {
  readonly name: string;
  readonly displayName: string | undefined;
  /** In the order of the widgets on the node. */
  readonly inputs: readonly DeclaredInput[];
  readonly inputsByName: ReadonlyMap<string, DeclaredInput>;
  /** Types of the outputs. */
  readonly outputs: readonly string[];
  readonly outputNames: readonly string[];
  readonly isOutput: boolean;
}

const kindsByType: Readonly<Record<string, WidgetKind>> = {
  INT: 'int',
  FLOAT: 'float',
  STRING: 'string',
  BOOLEAN: 'boolean',
  COMBO: 'combo',
  COMFY_DYNAMICCOMBO_V3: 'dynamic-combo',
  COMFY_AUTOGROW_V3: 'autogrow',
  // Widgets of newer editors whose type is written in capitals like a connection's.
  COLOR: 'custom',
  COLORS: 'custom',
  CURVE: 'custom',
  RANGE: 'custom',
  BOUNDING_BOX: 'custom',
  BOUNDING_BOXES: 'custom',
  MARKDOWN: 'custom',
  TEXTAREA: 'custom',
  PAINTER: 'custom',
  WEBCAM: 'custom',
  AUDIO_RECORD: 'custom',
  LOAD_3D: 'custom',
  LOAD_3D_ANIMATION: 'custom',
};

/** Types whose value the editor makes at the moment of queueing (a capture, an upload of what was drawn): the file can't hold it. */
export const queueTimeTypes: ReadonlySet<string> = new Set([
  'WEBCAM',
  'AUDIO_RECORD',
  'LOAD_3D',
  'LOAD_3D_ANIMATION',
  'PAINTER',
]);

const uploadOptions = ['image_upload', 'video_upload', 'audio_upload', 'file_upload', 'mesh_upload'];

function widgetKind(type: string, options: JsonObject): WidgetKind | undefined {
  if (options['forceInput'] === true || options['defaultInput'] === true) return undefined;
  const wanted = textOf(options['widgetType']) ?? type;
  const known = own(kindsByType, wanted);
  if (known !== undefined) return known as WidgetKind;
  if (/^COMFY_.*COMBO/.test(wanted)) return 'dynamic-combo';
  // Custom widgets carry lower or mixed case names; connection types are upper case, `*` is any connection.
  return /[a-z]/.test(wanted) ? 'custom' : undefined;
}

/** Reads one declaration `[type, options?]`; undefined when it is malformed. */
export function readDeclaredInput(name: string, declaration: unknown): DeclaredInput | undefined {
  const [rawType, rawOptions] = listOf(declaration);
  const options = isObject(rawOptions) ? rawOptions : {};
  if (Array.isArray(rawType)) {
    const widget = widgetKind('COMBO', options);
    return { name, type: 'COMBO', widget, options, choices: rawType as unknown[], uploadButton: false };
  }
  if (typeof rawType !== 'string') return undefined;
  const choices = rawType === 'COMBO' ? listOf(options['options']) : undefined;
  return { name, type: rawType, widget: widgetKind(rawType, options), options, choices, uploadButton: false };
}

/** Reads a block `{required, optional}` in the order in which the editor makes the widgets. Names get `prefix` in front. */
export function readDeclaredInputs(block: unknown, order?: unknown, prefix = ''): DeclaredInput[] {
  const inputs: DeclaredInput[] = [];
  for (const section of ['required', 'optional']) {
    const declared = own(block, section);
    if (!isObject(declared)) continue;
    const listed = listOf(own(order, section)).filter((name) => typeof name === 'string');
    const names = new Set([...listed, ...Object.keys(declared)]);
    let uploads = false;
    for (const name of names) {
      if (!Object.hasOwn(declared, name)) continue;
      const input = readDeclaredInput(prefix + name, declared[name]);
      if (!input) continue;
      inputs.push(input);
      uploads ||= uploadOptions.some((option) => input.options[option] === true);
    }
    if (uploads && section === 'required') inputs.push(uploadButton);
  }
  return inputs;
}

const uploadButton: DeclaredInput = {
  name: 'upload',
  type: 'IMAGEUPLOAD',
  widget: undefined,
  options: {},
  choices: undefined,
  uploadButton: true,
};

function readClass(name: string, raw: unknown): NodeClass | undefined {
  if (!isObject(raw)) return undefined;
  const inputs = readDeclaredInputs(raw['input'], raw['input_order']);
  return {
    name,
    displayName: textOf(raw['display_name']),
    inputs,
    inputsByName: new Map(inputs.filter((input) => !input.uploadButton).map((input) => [input.name, input])),
    outputs: listOf(raw['output']).map((type) => (typeof type === 'string' ? type : 'COMBO')),
    outputNames: listOf(raw['output_name']).map(String),
    isOutput: raw['output_node'] === true,
  };
}

/** Looks a class up, read once per object and class. */
export const findClass = perClass(readClass);

/** The value that the editor gives a new widget, or undefined when the declaration says none. */
export function defaultValue(input: DeclaredInput): unknown {
  if (Object.hasOwn(input.options, 'default')) return input.options['default'];
  switch (input.widget) {
    case 'int':
    case 'float':
      return 0;
    case 'boolean':
      return false;
    case 'string':
      return '';
    case 'combo':
      return input.options['multiselect'] === true ? [] : input.choices?.[0];
    case 'dynamic-combo':
      return own(listOf(input.options['options'])[0], 'key');
    case 'autogrow':
    case 'custom':
    case undefined:
      return undefined;
  }
}
