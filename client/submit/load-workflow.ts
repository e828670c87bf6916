/**
 * The one way from what a person names to a workflow in API format: a file or standard input; API format, the editor's save format, or a picture,
 * sound or video that carries one of both. Every command that takes a workflow uses it.
 *
 * Which node classes there are is asked only when something is to be converted, and of whom is the caller's choice.
 */
import { ComfyRunpodError, limits, nodeTitle, type Workflow } from '../../shared/index.ts';
import { readWorkflowBytes, type WorkflowFile } from '../files/read-workflow-bytes.ts';
import { type Declarations, decodeText, shippedDeclarations } from '../introspection/declarations.ts';
import { type Conversion, type ConvertOptions, convertWorkflow } from '../workflow/convert/convert-workflow.ts';
import type { ConversionEntry, ConversionReport } from '../workflow/convert/report.ts';
import { mediaFormat, readEmbeddedWorkflow } from '../workflow/embedded/read-embedded-workflow.ts';
import { parseWorkflowDocument, readWorkflowDocument, type WorkflowDocument } from '../workflow/parse-workflow.ts';
import { forgetJobFolder } from './forget-job-folder.ts';

/** Options of {@link loadWorkflow}. */
export interface LoadWorkflowOptions extends WorkflowFile {
  /** The node classes that a conversion goes by. Default: those that ship with this package. */
  readonly declarations?: (() => Promise<Declarations>) | undefined;
  /** True: what can't be converted is left out or guessed and only reported, instead of an error. */
  readonly partial?: boolean;
  readonly convert?: ConvertOptions;
}

/** A workflow and how it was come by. */
export interface LoadedWorkflow {
  /** In API format, titles of nodes in `_meta.title`. */
  readonly workflow: Workflow;
  readonly format: 'api' | 'editor';
  /** Kind of the file that the workflow was embedded in, such as `PNG`. */
  readonly media?: string;
  /** Node id -> title, for nodes that have one of their own. */
  readonly titles: ReadonlyMap<string, string>;
  /** Of a conversion only. */
  readonly report?: ConversionReport;
  /** What the conversion went by. */
  readonly declarations?: Declarations;
  /** Sentences about the workflow that a person should see. They name nodes and inputs, never values. */
  readonly warnings: readonly string[];
}

/**
 * Loads a workflow. Throws `FILE_*`, `WORKFLOW_NOT_JSON`, `WORKFLOW_INVALID`, `WORKFLOW_NOT_EMBEDDED`, `WORKFLOW_NOT_CONVERTED` (an issue for every
 * node), or what `declarations` throws.
 */
export async function loadWorkflow(options: LoadWorkflowOptions): Promise<LoadedWorkflow> {
  const { bytes, shown } = await readWorkflowBytes(options);
  const media = mediaFormat(bytes);
  const document =
    media === undefined ? parseWorkflowDocument(decodeText(bytes)) : await readEmbedded(bytes, shown, media);
  const origin = media === undefined ? {} : { media };
  if (document.format === 'api') {
    const workflow = media === undefined ? document.workflow : forgetJobFolder(document.workflow);
    return { ...origin, workflow, format: 'api', titles: titlesOf(workflow), warnings: [] };
  }
  const declarations = await (options.declarations ?? shippedDeclarations)();
  const conversion = await convert(document.document, declarations, options);
  const { workflow, report } = conversion;
  const warnings = judge(conversion, declarations, options.partial === true);
  return { ...origin, workflow, format: 'editor', titles: titlesOf(workflow), report, declarations, warnings };
}

/**
 * A class that the given declarations lack may be one of ComfyUI's own: then its values can be named all the same, and that the class is missing
 * is for the validation to say.
 */
async function convert(
  document: unknown,
  { objectInfo }: Declarations,
  options: LoadWorkflowOptions,
): Promise<Conversion> {
  const first = convertWorkflow(document, objectInfo, options.convert);
  if (first.report.unsupported.every(({ classType }) => Object.hasOwn(objectInfo, classType))) return first;
  const shipped = await shippedDeclarations();
  if (shipped.objectInfo === objectInfo) return first;
  return convertWorkflow(document, { ...shipped.objectInfo, ...objectInfo }, options.convert);
}

/** The graph that was run is what made the file: it is preferred to the editor's workflow beside it. */
async function readEmbedded(bytes: Uint8Array, shown: string, media: string): Promise<WorkflowDocument> {
  const found = await readEmbeddedWorkflow(bytes);
  if (found === undefined) {
    throw new ComfyRunpodError('WORKFLOW_NOT_EMBEDDED', `${shown} is a ${media} file without a workflow in it.`);
  }
  const { prompt, workflow } = found;
  if (prompt === undefined) return readWorkflowDocument(workflow);
  try {
    return readWorkflowDocument(prompt);
  } catch (error) {
    // Other programs write prompts of their own kind beside ComfyUI's workflow.
    if (workflow === undefined) throw error;
    return readWorkflowDocument(workflow);
  }
}

function titlesOf(workflow: Workflow): Map<string, string> {
  return new Map(
    Object.entries(workflow)
      .map(([id, node]) => [id, nodeTitle(node), node.class_type] as const)
      .filter(([, title, classType]) => title !== classType)
      .map(([id, title]) => [id, title]),
  );
}

/** Warnings, or `WORKFLOW_NOT_CONVERTED`. A node of an unknown class without a loss passes: another ComfyUI may have the class. */
function judge({ workflow, report }: Conversion, declarations: Declarations, partial: boolean): string[] {
  const bad = report.unsupported.filter((entry) => entry.guessed !== true);
  if (bad.length > 0 && !partial) throw notConverted(bad, declarations);
  if (Object.keys(workflow).length === 0) {
    throw new ComfyRunpodError('WORKFLOW_INVALID', 'No node is left to run: all are muted, bypassed or notes.', {
      nextStep: 'Unmute the nodes in ComfyUI and save the workflow again.',
    });
  }
  const fate = (entry: ConversionEntry) =>
    Object.hasOwn(workflow, entry.node) ? 'sent as far as the file tells' : 'left out';
  return [
    ...report.unsupported.map((entry) => `${nodeText(entry)}: ${entry.reason}; ${fate(entry)}`),
    ...report.notes.map((entry) => `${nodeText(entry)}: ${entry.reason}`),
  ];
}

function nodeText({ node, classType, title }: ConversionEntry): string {
  const name = title === classType ? classType : `${title}, ${classType}`;
  return `node ${node} (${name.slice(0, 120)})`;
}

/** Nodes named in the message itself; the issues have more. */
const shownNodes = 5;

function notConverted(bad: readonly ConversionEntry[], declarations: Declarations): ComfyRunpodError {
  const listed = bad.slice(0, shownNodes).map((entry) => `${nodeText(entry)}: ${entry.reason}`);
  const more = bad.length > shownNodes ? `; and ${bad.length - shownNodes} more` : '';
  const what = bad.length === 1 ? '1 node' : `${bad.length} nodes`;
  return new ComfyRunpodError(
    'WORKFLOW_NOT_CONVERTED',
    `${what} can't be converted by ${declarations.from}: ${listed.join('; ')}${more}.`,
    {
      issues: bad
        .slice(0, limits.errorIssues)
        .map(({ node, classType, reason }) => ({ node, classType, message: reason })),
      details: { nodes: bad.length },
    },
  );
}
