// Output entries of a shape collectors must survive (F26): unknown keys, entries without folder or type, entries that point
// outside, entries with extra fields.

function isEntry(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && 'filename' in value;
}

function mapEntries(output: unknown, change: (entry: Record<string, unknown>) => unknown): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, list] of Object.entries(output ?? {})) {
    out[key] = Array.isArray(list) ? list.map((entry: unknown) => (isEntry(entry) ? change(entry) : entry)) : list;
  }
  return out;
}

/** One node's UI output in the odd shape; the input is not changed. */
export function oddOutput(
  output: unknown,
  shape: 'unexpected-key' | 'bare-entries' | 'escaping-paths' | 'extra-fields',
): Record<string, unknown> {
  switch (shape) {
    case 'unexpected-key':
      return { results_v2: Object.values(output ?? {}).flat(), flags: [true, null, 'text'] };
    case 'bare-entries':
      return mapEntries(output, (entry) => ({ filename: entry['filename'] }));
    case 'escaping-paths':
      return mapEntries(output, (entry) => ({ ...entry, subfolder: '../../etc' }));
    case 'extra-fields':
      return mapEntries(output, (entry) => ({
        ...entry,
        id: 17,
        preview_id: null,
        format: 'image/png',
        frame_rate: 8.5,
      }));
  }
}
