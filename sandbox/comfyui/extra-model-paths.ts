// `extra_model_paths.yaml` as ComfyUI reads it (ComfyUI protocol notes §4.2): sections of folder types, one path or several on lines.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

/** Folders by type, in the order in which ComfyUI searches them. */
export type ExtraModelPaths = Readonly<Record<string, readonly string[]>>;

const fileSchema = z.record(z.string(), z.record(z.string(), z.union([z.string(), z.boolean()])).nullable());
const storedAs: Readonly<Record<string, string>> = { clip: 'text_encoders', unet: 'diffusion_models' };

/** Reads files. Throws when one is not there or not of that form, as ComfyUI does. */
export function readExtraModelPaths(files: readonly string[]): ExtraModelPaths {
  const found: Record<string, string[]> = {};
  for (const file of files) {
    for (const section of Object.values(fileSchema.parse(parse(readFileSync(file, 'utf8'))))) {
      if (section === null) continue;
      const { base_path: base, is_default: first, ...types } = section;
      const root = path.resolve(path.dirname(file), typeof base === 'string' ? base : '.');
      for (const [type, value] of Object.entries(types)) {
        const folders = String(value)
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => path.resolve(root, line));
        const stored = storedAs[type] ?? type;
        found[stored] =
          first === true ? [...folders, ...(found[stored] ?? [])] : [...(found[stored] ?? []), ...folders];
      }
    }
  }
  return found;
}
