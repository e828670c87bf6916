/** Sources of models that a workflow in the editor's format brings along: templates note name, address and folder in `properties.models`. Pure. */
import { type ModelSpec, modelEntrySchema, specOf } from '../../shared/index.ts';

/** Collects them from anywhere in the document, sub-graphs included. What is not well-formed is left out: nobody checked it when it was written. */
export function declaredModels(document: unknown, depth = 0): ModelSpec[] {
  if (typeof document !== 'object' || document === null || depth > 32) return [];
  if (Array.isArray(document)) return document.flatMap((item) => declaredModels(item, depth + 1));
  const entries = document as Record<string, unknown>;
  const properties = entries['properties'];
  const listed =
    typeof properties === 'object' && properties !== null && 'models' in properties ? properties.models : [];
  const own = Array.isArray(listed) ? listed.flatMap(readDeclared) : [];
  return [
    ...own,
    ...Object.entries(entries).flatMap(([key, value]) =>
      key === 'properties' ? [] : declaredModels(value, depth + 1),
    ),
  ];
}

function readDeclared(value: unknown): ModelSpec[] {
  if (typeof value !== 'object' || value === null) return [];
  const { name, url, directory, hash, hash_type: hashType } = value as Record<string, unknown>;
  const parsed = modelEntrySchema.safeParse({
    folder: directory,
    name,
    url,
    ...(typeof hash === 'string' && String(hashType).toUpperCase() === 'SHA256' && { sha256: hash }),
  });
  if (!parsed.success) return [];
  return [specOf(parsed.data)];
}
