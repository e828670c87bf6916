/**
 * The closed list of error codes and, for each, one row of policy: who is to blame, whether and where a retry helps, the
 * HTTP status it maps to, the exit code of the command line, whether the worker must be recycled, and the next step that a
 * person is told. A code is never reused for a second meaning; removing one is a breaking change of the contract.
 */

import { bootErrorPolicies } from './boot-error-codes.ts';
import { type ErrorPolicy, exitCodes, row } from './error-policy.ts';
import { workflowErrorPolicies } from './workflow-error-codes.ts';

export { type Blame, type ErrorPolicy, exitCodes, type RetryAdvice } from './error-policy.ts';

const { internal, usage, input, access, platform, jobFailed, cancelled, timeout, result } = exitCodes;

/** One row per code. The keys are the closed list. */
export const errorPolicies = {
  // What the caller sends.
  INPUT_INVALID: row('caller', 'never', 400, input, 'Correct the named field and send the job again.'),
  INPUT_UNKNOWN_KEY: row('caller', 'never', 400, input, 'Remove the key or use the suggested spelling.'),
  BODY_TOO_LARGE: row(
    'caller',
    'never',
    413,
    input,
    "Send smaller pictures (scale or re-encode them); RunPod's limit can't be raised.",
  ),
  FILE_NOT_FOUND: row('caller', 'never', 400, input, 'Check the path; it is relative to the current folder.'),
  FILE_UNREADABLE: row('caller', 'never', 400, input, 'Check the permissions of the file and that it is not a folder.'),
  FILE_NOT_A_PICTURE: row('caller', 'never', 400, input, 'Send a PNG, JPEG, WebP, GIF, TIFF, AVIF or BMP file.'),
  FILE_EMPTY: row('caller', 'never', 400, input, 'The file has no bytes; export it again.'),
  FILE_NAME_UNSAFE: row(
    'caller',
    'never',
    400,
    input,
    'Use a plain relative name: no "..", no leading "/", no drive letter, no NUL or control character.',
  ),
  FILE_BASE64_INVALID: row(
    'caller',
    'never',
    400,
    input,
    'Encode the file as standard base64 (RFC 4648) and send it again.',
  ),
  FILE_HASH_MISMATCH: row('caller', 'any-worker', 400, input, 'The bytes changed on the way; send the file again.'),

  INPUT_URL_REFUSED: row(
    'caller',
    'never',
    400,
    input,
    'Give an https address of a public host without user name and password, or send the bytes as data.',
  ),
  DESTINATION_REFUSED: row(
    'caller',
    'never',
    400,
    input,
    'Give https addresses of a public host without user name and password. ALLOW_PRIVATE_ADDRESSES on the worker allows others.',
  ),
  INPUT_UNAVAILABLE: row(
    'caller',
    'never',
    400,
    input,
    'The address must give the picture, video or sound itself, without a login; a signed address must not have expired.',
  ),
  INPUT_FETCH_FAILED: row(
    'network',
    'later',
    502,
    input,
    'Check that the server of the address is up, then submit again, or send the bytes as data.',
  ),
  INPUT_TOO_LARGE: row('caller', 'never', 413, input, 'Send a smaller file (scale or re-encode it).'),
  INPUT_NOT_HELD: row(
    'nobody',
    'any-worker',
    409,
    input,
    'The worker does not hold the file any more, or never did; submit again with its bytes.',
  ),

  ...workflowErrorPolicies,

  // Configuration and access.
  USAGE: row('caller', 'never', 400, usage, 'See `comfy-runpod --help`.'),
  CONFIG_INVALID: row(
    'configuration',
    'never',
    500,
    usage,
    'Correct the named variable; docs/configuration.md lists them all.',
  ),
  CONFIG_MISSING: row(
    'configuration',
    'never',
    500,
    usage,
    'Set the named variable; docs/configuration.md lists them all.',
  ),
  LEDGER_UNUSABLE: row(
    'configuration',
    'never',
    500,
    usage,
    'Jobs run without it, but can not be resumed. Move the file away, or name another folder with COMFY_RUNPOD_DATA_DIR.',
  ),
  UNAUTHORIZED: row(
    'configuration',
    'never',
    401,
    access,
    'Check RUNPOD_API_KEY: it must be a key of the account that owns the endpoint.',
  ),
  ENDPOINT_NOT_FOUND: row(
    'configuration',
    'never',
    404,
    access,
    "Check RUNPOD_ENDPOINT_ID against the endpoint's page in RunPod's console.",
  ),
  JOB_NOT_FOUND: row(
    'nobody',
    'never',
    404,
    access,
    'The id is unknown or its result has expired (30 minutes after /run, 1 minute after /runsync).',
  ),

  // RunPod and the network between.
  RATE_LIMITED: row('platform', 'later', 429, platform, 'Wait, then try again; lower the number of jobs in flight.'),
  PLATFORM_ERROR: row(
    'platform',
    'later',
    502,
    platform,
    "Try again in a minute; check RunPod's status page if it lasts.",
  ),
  PLATFORM_ANSWER_INVALID: row(
    'platform',
    'later',
    502,
    platform,
    'Check RUNPOD_BASE_URL: what answers there does not speak the RunPod API.',
  ),
  NETWORK_UNREACHABLE: row(
    'network',
    'later',
    503,
    platform,
    'Check the network connection, proxy and RUNPOD_BASE_URL.',
  ),
  NETWORK_TIMEOUT: row('network', 'later', 504, platform, 'Try again; raise RUNPOD_REQUEST_TIMEOUT for a slow line.'),
  SUBMIT_UNCERTAIN: row(
    'network',
    'never',
    504,
    platform,
    "The job may or may not be queued. Look at the endpoint's requests before you submit again: a second submit may cost twice.",
  ),

  // How a job ends other than well.
  BUDGET_EXHAUSTED: row(
    'caller',
    'never',
    402,
    usage,
    'Raise --max-cost and give the same command again: what is done is not rendered twice.',
  ),
  JOB_DUPLICATE: row(
    'nobody',
    'never',
    409,
    platform,
    'Nothing was rendered again: the result is that of the job that is named. `comfy-runpod wait ID` fetches it.',
  ),
  JOB_CANCELLED: row('nobody', 'never', 499, cancelled, 'Submit it again if that was not intended.'),
  JOB_TIMED_OUT: row(
    'platform',
    'later',
    504,
    timeout,
    'No worker took the job in time: check max workers and GPU supply, or raise the ttl.',
  ),
  JOB_FAILED: row(
    'worker',
    'any-worker',
    500,
    jobFailed,
    "Read the worker's message; the endpoint's log has the lines around it.",
  ),
  WORKER_LOST: row(
    'platform',
    'any-worker',
    503,
    jobFailed,
    'The worker died or lost contact while it had the job; submit it again and read the log of that worker.',
  ),
  WAIT_TIMEOUT: row(
    'caller',
    'later',
    504,
    timeout,
    'The job goes on. Wait again with `comfy-runpod wait ID`, or cancel it.',
  ),
  DEADLINE_EXCEEDED: row(
    'caller',
    'never',
    504,
    timeout,
    'Raise limits.executionMs (and executionTimeout of the endpoint), or make the workflow shorter.',
  ),

  // ComfyUI and the worker beside it.
  COMFY_UNREACHABLE: row(
    'worker',
    'any-worker',
    503,
    jobFailed,
    'Check that ComfyUI runs at the given address and that the tunnel is open.',
  ),
  COMFY_START_FAILED: row(
    'worker',
    'later',
    503,
    jobFailed,
    "Read the last lines of ComfyUI's log in the message.",
    true,
  ),
  COMFY_CRASHED: row(
    'worker',
    'any-worker',
    503,
    jobFailed,
    "Submit again; if it repeats, read the last lines of ComfyUI's log in the message.",
  ),
  GPU_BROKEN: row(
    'worker',
    'any-worker',
    503,
    jobFailed,
    'Submit again; the worker is replaced. If it repeats on other workers, the node and this kind of GPU do not go together.',
    true,
  ),
  COMFY_STALLED: row(
    'worker',
    'any-worker',
    504,
    jobFailed,
    'ComfyUI stopped making progress. Submit again, or raise limits.stallMs for a node that is slow without reporting.',
    true,
  ),
  COMFY_PROTOCOL: row(
    'worker',
    'any-worker',
    502,
    jobFailed,
    'ComfyUI answered something unexpected; check its version against docs/compatibility.md.',
  ),
  PROMPT_LOST: row(
    'worker',
    'any-worker',
    503,
    jobFailed,
    'ComfyUI forgot the prompt (restart, or its history was cleared); submit again.',
  ),
  NODE_FAILED: row(
    'workflow',
    'never',
    422,
    jobFailed,
    'Read the message of the node that failed and correct its inputs.',
  ),
  OUT_OF_MEMORY: row(
    'workflow',
    'never',
    507,
    jobFailed,
    'Lower the resolution or batch size, or choose a GPU with more memory.',
  ),
  OUTPUT_NONE: row(
    'workflow',
    'never',
    422,
    jobFailed,
    'The run ended without any output. Check that an output node is reached and not bypassed or blocked.',
  ),
  OUTPUT_MISSING: row(
    'worker',
    'any-worker',
    500,
    jobFailed,
    'A file that ComfyUI named does not exist or is empty; submit again with debug: true to look at it.',
  ),
  OUTPUT_UNSAFE: row(
    'workflow',
    'never',
    422,
    jobFailed,
    "A node named a file outside ComfyUI's folders; remove or replace that node.",
  ),
  WORKSPACE_FULL: row(
    'worker',
    'later',
    507,
    jobFailed,
    'Give the container more shared memory, or send and make smaller files.',
  ),
  WORKSPACE_FAILED: row(
    'worker',
    'any-worker',
    500,
    jobFailed,
    "Check that the worker may write to ComfyUI's input, output and temp folders.",
  ),
  WIPE_FAILED: row(
    'worker',
    'never',
    500,
    jobFailed,
    'Files of the job may remain on the worker; it takes no further job and is replaced.',
    true,
  ),
  RESULT_TOO_LARGE: row(
    'workflow',
    'never',
    413,
    result,
    'Save smaller or fewer pictures, ask for output.format webp, or give the endpoint a bucket (BUCKET_*) or a network volume; docs/results.md tells the ways.',
  ),
  RESULT_UNDELIVERED: row('platform', 'any-worker', 502, result, 'RunPod did not accept the result; submit again.'),
  WORKER_SHUTDOWN: row(
    'worker',
    'any-worker',
    503,
    jobFailed,
    'The worker was told to stop before the job was done; submit again.',
  ),

  ...bootErrorPolicies,

  // The result on the caller's side.
  RESULT_INVALID: row(
    'worker',
    'never',
    502,
    result,
    'The answer is not from a comfy-runpod worker of this contract; check the image of the endpoint.',
  ),
  RESULT_CORRUPT: row(
    'network',
    'any-worker',
    502,
    result,
    'A file arrived damaged; fetch the result again with `comfy-runpod wait ID`.',
  ),
  RESULT_NOT_SAVED: row(
    'caller',
    'never',
    500,
    result,
    'Check the output folder and the free space, then fetch the result again with `comfy-runpod wait ID`.',
  ),

  INTERNAL: row(
    'worker',
    'never',
    500,
    internal,
    'This is a defect of comfy-runpod; please report it with the code and the command.',
  ),
} as const satisfies Record<string, ErrorPolicy>;

/** One of the closed list of codes. */
export type ErrorCode = keyof typeof errorPolicies;

/** Every code, in the order of the table. */
export const errorCodes = Object.keys(errorPolicies) as readonly ErrorCode[];

/** True when `value` is one of the closed list of codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorPolicies, value);
}
