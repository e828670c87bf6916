/** Every limit of both ends, in bytes, milliseconds or counts, each with its source. Nothing else in the code names such a number. */

const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  /** `/run` request body. RunPod protocol notes §1.7: enforced as MiB, answered 400 `exceeded max body size of 10MiB`. */
  runBodyBytes: 10 * MiB,
  /** `/runsync` request body. Same source. */
  runsyncBodyBytes: 20 * MiB,
  /** Result of a job submitted with `/run`: the ceiling of the job-done body. §1.7 and Appendix A. */
  runResultBytes: 10 * MiB,
  /** Result of a job submitted with `/runsync`. */
  runsyncResultBytes: 20 * MiB,
  /** One chunk of `/stream`. §1.7. */
  streamChunkBytes: 1 * MiB,
  /** Bytes of a file in one chunk: as base64 with its wrapper below 1 000 000 bytes, and a multiple of 3 so that chunks join as text. */
  streamChunkFileBytes: 720 * KiB,
  /** Largest result that travels over /stream. RunPod documents no limit; what is larger belongs into a bucket or onto a volume. */
  streamResultBytes: 256 * MiB,
  /** Largest answer that the client reads from RunPod: a 20 MiB result inside its job view, with room. */
  publicAnswerBytes: 32 * MiB,
  /** Calls of one endpoint in any {@link callWindowMs}, all operations and all clients of this machine together, and of the rarer ones (§1.12). */
  callsPerWindow: 2_000,
  callsPerWindowOf: { run: 1_000, cancel: 100, 'purge-queue': 2 },
  callWindowMs: 10_000,
  /** Largest answer of job-take for each job that was asked for: a 20 MiB job with room. */
  jobTakeAnswerBytes: 32 * MiB,
  /** Largest JSON answer read from ComfyUI; `/object_info` is 2-20 MB (ComfyUI protocol notes §1.10). */
  comfyAnswerBytes: 64 * MiB,
  /** Largest WebSocket message accepted from ComfyUI: full-size preview frames (§2.5). */
  comfySocketBytes: 256 * MiB,
  /** Pictures of one run that nodes send over the socket in place of files: they are held in memory. */
  socketPicturesBytes: 512 * MiB,
  /** Largest output file that a worker reads as a whole: over HTTP, or to write a picture in another format. Others are streamed, however large. */
  outputFileBytes: 2 * 1024 * MiB,

  /** Largest workflow file that the client reads: the editor's format is several times that of the API. */
  workflowFileBytes: 32 * MiB,
  /** Largest picture, sound or video that the client searches for a workflow; it is held in memory. */
  workflowMediaBytes: 512 * MiB,

  /** Nodes in one workflow. */
  workflowNodes: 10_000,
  /** Depth of nested values inside one node's inputs. */
  workflowDepth: 64,
  /** Input files in one job. */
  jobFiles: 256,
  /** Characters in a file name of a job, folders included. */
  fileNameChars: 255,
  /** Injections in one job. */
  jobInjections: 1024,

  /** Characters of the address of an input file. */
  inputUrlChars: 8_192,
  /** Largest input file fetched from an address. */
  inputFetchBytes: 512 * MiB,
  /** The same where the worker shares no disk with ComfyUI and must hold the file in memory as base64. */
  inputFetchMemoryBytes: 128 * MiB,
  /** Fetching one input file, redirects included. */
  inputFetchMs: 300_000,
  /** Silence of its server after which a fetch is given up. */
  inputIdleMs: 20_000,
  /** Connecting to its server. */
  inputConnectMs: 10_000,
  /** Redirects of one fetch. */
  inputRedirects: 5,
  /** Input files that one job fetches at once. */
  inputFetches: 4,
  /** How long a job may ask the worker to hold its input files for later jobs, seconds. */
  holdSeconds: { min: 1, max: 3_600 },
  /** Input files held for later jobs, all together. They lie on the RAM disk. */
  heldInputBytes: 1024 * MiB,
  heldInputFiles: 2_048,

  /** Models that are looked for or downloaded at once, and ranges of one download at once. */
  modelsAtOnce: 3,
  modelConnections: 6,
  /** Bytes of one range of a download. */
  modelPieceBytes: 32 * MiB,
  /** Silence of a model's server after which a request is given up. */
  modelIdleMs: 30_000,
  /** Attempts in a row that bring not one byte, after which a download is given up. */
  modelAttempts: 8,
  /** Longest pause that a server may ask for between two attempts. */
  modelRetryAfterMs: 120_000,
  /** Between two lines of the log about one download. */
  modelProgressMs: 5_000,

  /** job-take is abandoned and reissued after this (RunPod protocol notes §2.6). */
  jobTakeTimeoutMs: 90_000,
  /** job-stop likewise (§2.15). */
  jobStopTimeoutMs: 90_000,
  /** Pause after 429 without Retry-After on the worker routes (§2.6). */
  workerRateLimitPauseMs: 5_000,
  /** Progress of one job is posted at most once per this. */
  progressIntervalMs: 500,
  /** Bounds of `policy.executionTimeout` (§1.4). */
  executionTimeoutMs: { min: 5_000, default: 600_000, max: 7 * 86_400_000 },
  /** Bounds of `policy.ttl` (§1.4). */
  ttlMs: { min: 10_000, default: 86_400_000, max: 7 * 86_400_000 },
  /** Bounds of `?wait=` of `/runsync` and `/status-sync` (§1.7). */
  waitMs: { min: 1_000, default: 90_000, max: 300_000 },

  /** How long the history entry may lag behind a terminal event (ComfyUI protocol notes §6.1). */
  historyLagMs: 30_000,
  /** No event, no queue movement and no history for this long: the run counts as stalled. A node that loads a large model is silent for minutes. */
  stallMs: 600_000,
  /** How often a silent run is checked over HTTP. */
  pollIdleMs: 1_000,
  /** How often it is checked after a terminal hint, at first. */
  pollHintMs: 25,
  /** One request to ComfyUI; handlers block its loop while they hash files (ComfyUI protocol notes §1.1). */
  comfyRequestMs: 30_000,
  /** Slowest transfer of a file to or from a ComfyUI elsewhere, bytes per second: a file has that much longer than other requests. */
  comfyTransferRate: 256 * KiB,
  /** Posting a prompt: validation runs before the answer. */
  comfySubmitMs: 120_000,
  /** Refused connections for this long mean that ComfyUI is gone. */
  comfyOutageMs: 10_000,
  /** How long a cancelled prompt may go on before ComfyUI counts as stuck (§6.7). */
  comfyCancelMs: 30_000,
  /** Pause between two interrupts of one prompt (§6.7). */
  comfyInterruptGapMs: 1_500,
  /** ComfyUI's time from SIGINT to SIGKILL. */
  comfyStopMs: 10_000,
  /** How long a file that ComfyUI named may be missing or empty. */
  outputSettleMs: 1_000,

  /** Characters of one error message on the wire. */
  errorMessageChars: 8_192,
  /** Issues listed in one error. */
  errorIssues: 50,
} as const;
