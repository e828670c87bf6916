// The seam between the stand-in's engine (execution/, validation/) and its node classes (nodes/, test-nodes/).
// A NodeDefinition is what ComfyUI reads from a Python node class: its declaration, its validators, its change marker and
// its function. Values that travel between nodes are opaque to the engine: lists of whatever a node returned.
// Invariants: 1. a definition has no state of its own; state lives in NodeContext.state, which the engine keeps per
// (node id, class) like ComfyUI keeps node instances. 2. execute() checks throwIfInterrupted() or calls progress() wherever
// the real node would, never elsewhere. 3. Errors the real node raises are NodeError with the Python type name.
import type { PyFloat } from './python-number.ts';

/** A JSON value as a declaration holds it; floats may be PyFloat so that `0.0` stays `0.0` in answers and error texts. */
export type DeclarationValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PyFloat
  | readonly DeclarationValue[]
  | { readonly [key: string]: DeclarationValue };

/** `[type]` or `[type, options]`; type is a type name or (V1 combo) the list of allowed values. */
export type InputDeclaration =
  | readonly [string | readonly DeclarationValue[]]
  | readonly [string | readonly DeclarationValue[], { readonly [option: string]: DeclarationValue }];

/** The inputs of a declaration by group. A hidden input is a bare string (V1) or a one-element list (V3). */
export interface InputGroups {
  readonly required?: Readonly<Record<string, InputDeclaration>>;
  readonly optional?: Readonly<Record<string, InputDeclaration>>;
  readonly hidden?: Readonly<Record<string, string | readonly [string] | InputDeclaration>>;
}

/** One entry of `/object_info`, in the shape the server sends it (ComfyUI protocol notes §1.10). */
export interface NodeDeclaration {
  readonly input: InputGroups;
  readonly input_order: Readonly<Record<string, readonly string[]>>;
  readonly output: readonly (string | readonly DeclarationValue[])[];
  readonly output_is_list: readonly boolean[];
  readonly output_name: readonly string[];
  readonly name: string;
  readonly display_name: string | null;
  readonly description: string;
  readonly python_module: string;
  readonly category: string;
  readonly output_node: boolean;
  readonly [extra: string]: DeclarationValue | InputGroups | undefined;
}

/** The three folders of §3.3, absolute. `temp` is the real one (`<--temp-directory>/temp`). */
export interface ComfyFolders {
  readonly input: string;
  readonly output: string;
  readonly temp: string;
}

/** What declarations, validators and change markers may look at: everything but a running prompt. */
export interface DeclarationContext {
  readonly folders: ComfyFolders;
  /** `late-2026` switches on the rules the protocol notes mark [N], e.g. path containment of loaders (§3.7). */
  readonly profile: ComfyProfile;
}

/** Which ComfyUI the stand-in behaves like: the recorded 0.3.64, or the newest one the notes describe. */
export type ComfyProfile = 'baseline' | 'late-2026';

/** A node input that stops everything downstream; with a message ComfyUI also reports `ExecutionBlocked` (§2.6). */
export class ExecutionBlocker {
  readonly message: string | null;
  constructor(message: string | null) {
    this.message = message;
  }
}

/** An exception a node raises. `pythonType` is the dotted class name without `builtins` (§2.4), e.g. `ValueError`. */
export class NodeError extends Error {
  override readonly name = 'NodeError';
  readonly pythonType: string;
  constructor(pythonType: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.pythonType = pythonType;
  }
}

/** A picture shown while a node works; sent as binary type 1 or 4 (§2.5). */
export interface PreviewImage {
  readonly type: 'image/jpeg' | 'image/png';
  readonly data: Uint8Array;
}

/** Where a saver writes next, by the counter rule of §3.4. */
export interface SavePath {
  /** Absolute folder; created. */
  readonly folder: string;
  /** The prefix's last path part after token replacement; may still hold `%batch_num%`. */
  readonly filename: string;
  /** The first free number. */
  readonly counter: number;
  /** Folder below the base, `''` for the base itself; what a file entry reports. */
  readonly subfolder: string;
}

/** What a running node may use. */
export interface NodeContext extends DeclarationContext {
  readonly nodeId: string;
  readonly promptId: string;
  /** Which call of a list-mapped node this is, from 0; part of expansion ids. */
  readonly callIndex: number;
  /** The executed graph as the `prompt` metadata entry holds it, already encoded like Python's `json.dumps` does. */
  promptJson(): string;
  /** `extra_pnginfo` of the request: each key with its value encoded like `json.dumps`; empty when none was given. */
  extraPngInfoJson(): ReadonlyMap<string, string>;
  /** `--disable-metadata`. */
  readonly disableMetadata: boolean;
  /** State kept for this (node id, class) between prompts, like attributes of a Python node instance. */
  readonly state: Map<string, unknown>;
  /** Aborted when the prompt is interrupted or the server closes. For waits; ordinary nodes use throwIfInterrupted. */
  readonly signal: AbortSignal;
  /** Throws the interrupt if one is pending: what every progress update of ComfyUI does. */
  throwIfInterrupted(): void;
  /** One step of a progress bar: throws a pending interrupt, then sends `progress_state`, `progress` and the preview (§2.5).
   * Resolves once the event loop had a turn, so an interrupt posted meanwhile is seen at the next call. */
  progress(value: number, max: number, preview?: PreviewImage): Promise<void>;
  /** Sends a text frame (binary type 3). */
  sendText(text: string): void;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Waits; rejects with the interrupt when one arrives and `interruptible` (default false) is set. */
  sleep(ms: number, options?: { readonly interruptible?: boolean }): Promise<void>;
  /** §3.4: replaces server-side tokens, creates the folder, scans it for the next counter. Throws NodeError when the prefix
   * leaves `base`. `width`/`height` feed `%width%`/`%height%`. */
  getSavePath(prefix: string, base: string, width?: number, height?: number): Promise<SavePath>;
}

/** A graph made at run time (§2.6 "expansion"): node ids must be unique, use `expansionId`. */
export interface Expansion {
  readonly graph: ReadonlyMap<
    string,
    { readonly class_type: string; readonly inputs: Readonly<Record<string, unknown>> }
  >;
}

/** What a node's function hands back. `outputs[slot]` is one value, or a list when `outputIsList[slot]`. */
export interface NodeResult {
  /** One per slot; with `expand`, entries may be links `[nodeId, slot]` into the new graph. May hold ExecutionBlocker. */
  readonly outputs: readonly unknown[];
  readonly ui?: Readonly<Record<string, readonly unknown[]>>;
  readonly expand?: Expansion;
}

/** Constants of a node by input name, as plain JS values: floats are numbers, ints beyond 2^53 are bigints, objects plain. */
export type Constants = Readonly<Record<string, unknown>>;

/** One node class. */
export interface NodeDefinition {
  readonly classType: string;
  /** The exact `/object_info` entry; a function when it depends on folders (file lists). May throw or reject: see §1.10. */
  readonly declaration: NodeDeclaration | ((context: DeclarationContext) => NodeDeclaration | Promise<NodeDeclaration>);
  /** Input wants the whole list of each input instead of one call per item (`INPUT_IS_LIST`). */
  readonly inputIsList?: boolean;
  /** Change of inputs is not enough to tell two nodes apart (`NOT_IDEMPOTENT`). */
  readonly notIdempotent?: boolean;
  /** Custom validator. `names` are the inputs it takes (their built-in checks of min/max/list are skipped, and it is
   * called with them); `'all'` is a Python validator with `**kwargs`; `inputTypes: true` takes over the type checks of links.
   * `validate` gets constants only: linked and missing ones are undefined in `constants`. Returns true, false or a text. */
  readonly validateInputs?: {
    readonly names: readonly string[] | 'all';
    readonly inputTypes?: boolean;
    validate(constants: Constants, context: DeclarationContext): boolean | string | Promise<boolean | string>;
  };
  /** Change marker (`IS_CHANGED` / `fingerprint_inputs`); gets constants only, linked ones undefined. A throw means NaN. */
  readonly isChanged?: (constants: Constants, context: DeclarationContext) => unknown;
  /** `check_lazy_status`: names of lazy inputs still needed; inputs not yet evaluated are undefined. */
  readonly checkLazyStatus?: (inputs: Constants) => readonly string[];
  /** Runs in the prompt's own task beside others (`async def`). Synchronous nodes run alone. */
  readonly isAsync?: boolean;
  /** The function. `inputs` holds one value per input, or the whole list per input with `inputIsList`. */
  execute(inputs: Constants, context: NodeContext): Promise<NodeResult>;
}

/** The id ComfyUI's graph builder gives a node made during an expansion: `<parent>.<call>.<graph>.<n>` (§2.6). */
export function expansionId(parent: string, call: number, graph: number, index: number | string): string {
  return `${parent}.${call}.${graph}.${index}`;
}
