/**
 * The file for ComfyUI's `--extra-model-paths-config`: every folder type over our own models folder and those of the network volume. Folders
 * need not exist when ComfyUI starts; types that a custom node adds are taken from the folders that are there (ComfyUI protocol notes §4.2).
 */
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { foldersOfType, modelFolderType, modelFolderTypes } from '../../shared/index.ts';
import type { ModelPlaces } from './model-places.ts';

/** Text of the file. `types`: folder names beside the known ones. */
export function extraPathsText(places: ModelPlaces, types: readonly string[] = []): string {
  const roots = [...new Set([places.own, ...places.volume])].filter((root) => root !== places.image);
  const all = [...new Set([...modelFolderTypes, ...types])];
  const sections = roots.map((root, index) => {
    const lines = all.map((type) => {
      const folders = foldersOfType(type);
      if (folders.length === 1) return `  ${quoted(type)}: ${quoted(folders[0] ?? type)}`;
      return [`  ${quoted(type)}: |`, ...folders.map((folder) => `    ${folder}`)].join('\n');
    });
    return [`comfy_runpod_${index}:`, `  base_path: ${quoted(root)}`, ...lines].join('\n');
  });
  return `# Written by comfy-runpod at every start.\n${sections.join('\n')}\n`;
}

/** Writes the file and answers its path, or undefined when there is nothing to add. */
export async function writeExtraPaths(
  places: ModelPlaces,
  types: readonly string[],
  file: string,
): Promise<string | undefined> {
  const roots = new Set([places.own, ...places.volume].filter((root) => root !== places.image));
  if (roots.size === 0) return undefined;
  const found = await Promise.all([...roots].map(typesBelow));
  await writeFile(file, extraPathsText(places, [...types, ...found.flat()]), { mode: 0o644 });
  return path.resolve(file);
}

/** Folder names on disk that look like types of custom nodes. */
async function typesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && /^[A-Za-z0-9][\w-]{0,63}$/.test(entry.name))
    .map((entry) => modelFolderType(entry.name))
    .filter((type) => type !== 'custom_nodes');
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
