/** Shapes that the files of worker/comfy exchange with one another and with worker/job. */
import type { ComfyRunpodError, ErrorIssue, Workflow } from '../../shared/index.ts';

/** What a ComfyUI can do, judged by its version (ComfyUI protocol notes §0.3). */
export interface ComfyCapabilities {
  /** `POST /api/jobs/{id}/cancel` exists: an atomic cancel (0.26.0). */
  readonly jobCancel: boolean;
}

/** A ComfyUI that answered `/system_stats`. */
export interface ComfyServer {
  /** As it calls itself, or `unknown`. */
  readonly version: string;
  readonly capabilities: ComfyCapabilities;
  /**
   * Folder names of custom-node packs that failed to import, as the log tells. That of a ComfyUI which the worker did not start may no longer
   * begin at its start.
   */
  readonly failedPacks: readonly string[];
}

/** One declared input of a node class. */
export interface NodeInput {
  /** ComfyUI's type name; `COMBO` for every kind of choice. */
  readonly type: string;
  /** The input names a file of ComfyUI's folders: it carries an upload mark (§1.10). */
  readonly upload: boolean;
}

/** A node class as `/object_info` declares it, reduced to what a driver needs. */
export interface NodeClass {
  readonly name: string;
  readonly outputNode: boolean;
  readonly inputs: ReadonlyMap<string, NodeInput>;
}

/** What a node put out: its UI dictionary (§3.3). Untrusted. */
export type NodeOutputs = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** How far a run is, a whole snapshot. */
export interface RunSnapshot {
  readonly phase: 'queued' | 'running';
  /** Id of the node that runs now. */
  readonly node?: string;
  readonly step?: { readonly value: number; readonly max: number };
  readonly done: number;
  readonly total: number;
  /** From 0 to 1, never falling. */
  readonly fraction: number;
  /** Ids behind `done`; grows while the run goes on. */
  readonly doneNodes: ReadonlySet<string>;
  /** Those of them that came from ComfyUI's cache. */
  readonly cachedNodes: ReadonlySet<string>;
}

/** A picture that a node sent while it worked. */
export interface PreviewImage {
  readonly contentType: 'image/jpeg' | 'image/png';
  readonly bytes: Buffer;
}

/** A finished picture that a node sent over the socket in place of a file (ComfyUI protocol notes §2.5). */
export interface SocketPicture {
  readonly node: string;
  readonly bytes: Buffer;
}

/** What came over the socket of a run whose graph has such nodes. */
export interface SocketPictures {
  /** In the order in which they came. */
  readonly pictures: readonly SocketPicture[];
  /** False: the socket was not there all the time, or there were more than memory is given for; some are missing. */
  readonly complete: boolean;
}

/** GPU memory as ComfyUI tells it, bytes. */
export interface GpuMemory {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** One prompt to run. */
export interface ExecutionRequest {
  readonly prompt: Workflow;
  /** Goes to ComfyUI as `extra_data`; may hold a key, so it is never logged. */
  readonly extraData?: Readonly<Record<string, unknown>>;
  /** Silence after which the run counts as stalled, milliseconds. */
  readonly stallMs: number;
  /** Ends the run: it is cancelled in ComfyUI and the reason becomes the failure. */
  readonly signal: AbortSignal;
  /** Longest time for that cancel, milliseconds. Default: the connection's. */
  readonly cancelMs?: number;
  /** Run it although ComfyUI refuses some of its outputs. Default: false. */
  readonly allowPartial?: boolean;
  /** Takes the caller's content out of a text of ComfyUI's before it becomes part of an error. */
  readonly redact: (text: string) => string;
  readonly onSnapshot?: (snapshot: RunSnapshot) => void;
  /** Gets every preview picture of the run. Must be cheap. */
  readonly onPreview?: (image: PreviewImage) => void;
}

/** How one prompt ended. What it put out is there also when it failed. */
export interface Execution {
  readonly promptId: string;
  readonly outputs: NodeOutputs;
  /** Only when a node of the graph sends its pictures over the socket. */
  readonly sent?: SocketPictures;
  /** Set when the run ended other than well. */
  readonly failure?: ComfyRunpodError;
  /** Nodes that ComfyUI served from its cache. */
  readonly cached: readonly string[];
  /** Milliseconds per executed node, best effort. */
  readonly nodeTimes: readonly { readonly node: string; readonly ms: number }[];
  /** Requests that had to be made again. */
  readonly retries: number;
  /** The prompt goes on in a ComfyUI that this worker can't restart, and nothing stops it. */
  readonly stuck?: boolean;
  /** Why ComfyUI left outputs out, when the request allowed that. */
  readonly refused: readonly ErrorIssue[];
}

/** A file in one of ComfyUI's folders. */
export interface ComfyFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: 'input' | 'output' | 'temp';
}

/** Milliseconds that the driver waits for this and that. Defaults: `shared/limits.ts`. */
export interface ComfyTimings {
  readonly pollIdleMs: number;
  readonly pollHintMs: number;
  readonly historyLagMs: number;
  readonly requestMs: number;
  readonly submitMs: number;
  readonly outageMs: number;
  readonly cancelMs: number;
  readonly interruptGapMs: number;
  readonly stopMs: number;
}
