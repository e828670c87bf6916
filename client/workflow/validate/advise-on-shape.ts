/** Advice about a workflow as a whole: work that nobody sees, work that is done twice, results that are too large. Pure. */
import { compareNodeIds, limits, nodeTitle, type Workflow } from '../../../shared/index.ts';
import type { ClassContract } from './class-contract.ts';
import { estimatePictures } from './estimate-pictures.ts';
import type { Findings } from './findings.ts';
import type { Sources } from './graph-walk.ts';
import { isModelFile } from './model-files.ts';
import { where } from './node-check.ts';

/** What the advice goes by. */
export interface Shape {
  readonly workflow: Workflow;
  readonly contractOf: (classType: string) => ClassContract | undefined;
  /** Ids of output nodes. */
  readonly outputs: readonly string[];
  /** Ids of nodes that run. */
  readonly runs: ReadonlySet<string>;
  readonly links: Sources;
  readonly resultBytes: number | undefined;
}

/** Adds the advice. */
export function adviseOnShape(shape: Shape, findings: Findings): void {
  adviseOnUnreached(shape, findings);
  adviseOnModels(shape, findings);
  adviseOnPreviews(shape, findings);
  adviseOnSize(shape, findings);
}

function nodeText({ workflow }: Shape, id: string): string {
  const node = workflow[id];
  return node === undefined ? `node ${id}` : where({ id, node });
}

/** One piece of advice per end of a branch that nothing follows. */
function adviseOnUnreached(shape: Shape, findings: Findings): void {
  const unreached = Object.keys(shape.workflow).filter((id) => !shape.runs.has(id));
  if (unreached.length === 0 || shape.runs.size === 0) return;
  const feeding = new Set(unreached.flatMap((id) => shape.links.get(id) ?? []));
  const ends = unreached.filter((id) => !feeding.has(id)).toSorted(compareNodeIds);
  const shown = ends.length > 0 ? ends : unreached;
  for (const id of shown.slice(0, 20)) {
    findings.advise('unreached', [id], `${nodeText(shape, id)} leads to no output: it and what only it uses never run`);
  }
}

/** Loaders without links whose values are the same: ComfyUI keeps results by node and its inputs, not by file. */
function adviseOnModels({ workflow, runs }: Shape, findings: Findings): void {
  const loaders = new Map<string, { readonly file: string; readonly ids: string[] }>();
  for (const id of [...runs].toSorted(compareNodeIds)) {
    const node = workflow[id];
    if (!node) continue;
    const values = Object.entries(node.inputs);
    const file = values.map(([, value]) => value).find(isModelFile);
    if (file === undefined || values.some(([, value]) => Array.isArray(value))) continue;
    const key = JSON.stringify([node.class_type, values.toSorted(([a], [b]) => (a < b ? -1 : 1))]);
    const known = loaders.get(key) ?? { file, ids: [] };
    known.ids.push(id);
    loaders.set(key, known);
  }
  for (const { file, ids } of loaders.values()) {
    if (ids.length < 2) continue;
    const text = `nodes ${ids.slice(0, 10).join(', ')} load the same model (${file.slice(0, 120)}); one of them can feed all, which saves the time of the others`;
    findings.advise('model_loaded_twice', ids, text);
  }
}

/** Shows its input and writes temporary files only. */
const previewClass = /^Preview|^MaskPreview$|^VHS_Preview/;

function adviseOnPreviews(shape: Shape, findings: Findings): void {
  const classOf = (id: string) => shape.workflow[id]?.class_type ?? '';
  const previews = shape.outputs.filter((id) => previewClass.test(classOf(id))).toSorted(compareNodeIds);
  if (previews.length === 0) return;
  const pictures = previews.filter((id) => /Image|Mask/.test(classOf(id)));
  if (previews.length === shape.outputs.length) {
    if (pictures.length === 0) return;
    const text = `only previews show the result (${previews.slice(0, 10).join(', ')}); previews are not returned: use SaveImage`;
    findings.advise('only_previews', previews, text);
    return;
  }
  if (pictures.length === 0) return;
  const titles = pictures
    .slice(0, 10)
    .map((id) => `${id} (${nodeTitle(shape.workflow[id] ?? unknownNode).slice(0, 40)})`);
  const text = `previews are encoded on the worker and not returned, which costs time for nothing: ${titles.join(', ')}; mute them for runs without the editor`;
  findings.advise('preview', pictures, text);
}

const unknownNode = { class_type: 'unknown', inputs: {} };

/** Bytes of PNG per pixel of what diffusion models make, 8 bits, three channels: photos and drawings of 1 to 2 megapixels lie between 1.2 and 2. */
const pngBytesPerPixel = 1.6;

/** Base64 in the answer. */
const base64Growth = 4 / 3;

function adviseOnSize(shape: Shape, findings: Findings): void {
  const limit = shape.resultBytes ?? limits.runResultBytes;
  const saving = shape.outputs.filter((id) => shape.workflow[id]?.class_type === 'SaveImage');
  const known = saving.flatMap((id) => {
    const pictures = estimatePictures(id, shape);
    return pictures === undefined ? [] : [{ id, ...pictures }];
  });
  const pixels = known.reduce((sum, { width, height, count }) => sum + width * height * count, 0);
  const bytes = pixels * pngBytesPerPixel * base64Growth;
  if (bytes <= limit) return;
  const listed = known.slice(0, 5).map(({ id, width, height, count }) => `${id}: ${count} x ${width} x ${height}`);
  const text =
    `about ${Math.round(bytes / 1024 ** 2)} MB of PNG come back (${listed.join('; ')}), and one answer of RunPod takes ` +
    `${Math.round(limit / 1024 ** 2)} MB: they travel in pieces or over a bucket, slower; smaller pictures or WebP fit`;
  findings.advise(
    'large_png',
    known.map(({ id }) => id),
    text,
  );
}
