// What a replay may differ in, and nothing else (docs/conformance-comfyui.md lists it for readers).
// 1. prompt ids the server made up, 2. timestamps, 3. the letters of temporary file names, 4. folders of the host,
// 5. the order inside Python sets, 6. facts about the host machine, 7. the text of traceback lines.

/** Recorded values on the left are known as the right ones in this replay. */
export class Translation {
  private readonly ids = new Map<string, string>();
  private readonly letters = new Map<string, string>();
  readonly inputFolder: string;

  constructor(inputFolder: string) {
    this.inputFolder = inputFolder;
  }

  learnId(recorded: string, actual: string): void {
    this.ids.set(recorded, actual);
  }

  idOf(recorded: string): string {
    return this.ids.get(recorded) ?? recorded;
  }

  /** A recorded text as it has to read here. */
  text(recorded: string): string {
    let out = this.ids.get(recorded) ?? recorded;
    out = out.replaceAll('/ComfyUI/input', this.inputFolder);
    return out.replace(/ComfyUI_temp_([a-z]{5})_/, (whole, letters: string) => {
      const known = this.letters.get(letters);
      return known === undefined ? whole : `ComfyUI_temp_${known}_`;
    });
  }

  /** Pairs the letters of temporary names the first time they are met; the same recorded ones must stay the same. */
  pairLetters(recorded: unknown, actual: unknown): void {
    const pattern = /ComfyUI_temp_([a-z]{5})_/g;
    const left = [...JSON.stringify(recorded).matchAll(pattern)].map((match) => match[1] ?? '');
    const right = [...JSON.stringify(actual).matchAll(pattern)].map((match) => match[1] ?? '');
    for (const [index, letters] of left.entries()) {
      const found = right[index];
      if (found !== undefined && !this.letters.has(letters)) this.letters.set(letters, found);
    }
  }
}

/** Lists that come from Python sets: their order says nothing. */
const SETS = new Set(['executed', 'current_outputs']);
/** Facts about the machine: only their type is compared. */
const HOST_FACTS = new Set([
  'ram_total',
  'ram_free',
  'vram_total',
  'vram_free',
  'torch_vram_total',
  'torch_vram_free',
  'argv',
]);

function setOrder(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

function byKey(key: string, value: unknown): unknown {
  if (key === 'timestamp') return typeof value === 'number' && Number.isInteger(value) ? '<milliseconds>' : value;
  if (key === 'traceback') return Array.isArray(value) && value.length > 0 ? '<lines>' : value;
  if (HOST_FACTS.has(key)) return `<${Array.isArray(value) ? 'array' : typeof value}>`;
  if ((SETS.has(key) || key === 'errors') && Array.isArray(value)) return [...(value as unknown[])].sort(setOrder);
  return value;
}

/** The comparable form of a value. With a translation, a recorded one; without, one of this replay. */
export function normalise(value: unknown, translation?: Translation): unknown {
  if (typeof value === 'string') return translation?.text(value) ?? value;
  if (Array.isArray(value)) return value.map((item) => normalise(item, translation));
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    out[translation?.text(key) ?? key] = byKey(key, normalise(item, translation));
  }
  return out;
}
