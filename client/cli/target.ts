/** Where a job runs: RunPod, the sandbox in this process, or a ComfyUI that is driven directly. */
import { ComfyRunpodError } from '../../shared/index.ts';
import { type Client, createClient } from '../client.ts';
import { JobBook } from '../ledger/job-book.ts';
import type { JobNeeds } from '../profiles/rank-endpoints.ts';
import type { CommandContext } from './command-context.ts';
import { type OpenUse, openConfigured, type PricedEndpoint } from './open-configured.ts';

/** Folders of a ComfyUI that shares this machine's disk. */
export interface ComfyFolders {
  readonly input?: string;
  readonly output?: string;
  readonly temp?: string;
}

/** What the flags of `run` and `demo` say about the place. */
export interface TargetFlags {
  readonly sandbox?: boolean;
  readonly comfyUrl?: string;
  readonly folders?: ComfyFolders;
  /** What the job needs of an endpoint, where there are several. */
  readonly needs?: JobNeeds;
  /** Written into the ledger with the job. */
  readonly facts: OpenUse['facts'];
}

/** An opened place. */
export interface Target {
  readonly kind: 'runpod' | 'sandbox' | 'direct';
  readonly client: Client;
  /** The ComfyUI behind it, where that is known. */
  readonly comfyUrl?: string;
  /** Where its jobs are written down. Jobs of the sandbox and of a ComfyUI that is driven directly cost nothing and end with the command. */
  readonly book: JobBook;
  /** Where its jobs may go; none where they cost nothing. */
  readonly endpoints: readonly PricedEndpoint[];
  readonly priceOf: (jobId: string) => number | undefined;
  /** True where what every job costs is known. */
  readonly priced: boolean;
  close(): Promise<void>;
}

/**
 * Opens the place: --comfy-url, else --sandbox, else the configured endpoint, else the sandbox, which is then said. The sandbox and the
 * worker are loaded only when they are needed.
 */
export async function openTarget(flags: TargetFlags, context: CommandContext): Promise<Target> {
  if (flags.comfyUrl !== undefined && flags.sandbox) {
    throw new ComfyRunpodError('USAGE', '--sandbox and --comfy-url exclude each other.');
  }
  if (flags.comfyUrl !== undefined) return openDirect(flags.comfyUrl, flags.folders ?? {}, context);
  if (flags.folders && Object.keys(flags.folders).length > 0) {
    throw new ComfyRunpodError('USAGE', 'The --comfy-*-dir options need --comfy-url.');
  }
  if (!flags.sandbox) {
    const config = context.config();
    if (config.kind === 'runpod') {
      const { client, ...prices } = await openConfigured(config, {
        context,
        needs: flags.needs,
        facts: flags.facts,
      });
      return { kind: 'runpod', client, ...prices, book: await context.book(), close: () => client.close() };
    }
    context.note(
      'No RUNPOD_API_KEY and RUNPOD_ENDPOINT_ID: using the sandbox on this machine. Nothing is sent to a cloud.',
    );
  } else {
    context.note('Using the sandbox on this machine. Nothing is sent to a cloud.');
  }
  return openSandbox({}, context);
}

const unpaid = { book: JobBook.none(), endpoints: [], priceOf: () => undefined, priced: false };

/** Starts the whole chain on this machine: RunPod emulator, worker, and the ComfyUI stand-in or the ComfyUI at `comfyUrl`. */
export async function openSandbox(
  options: { readonly comfyUrl?: string; readonly folders?: ComfyFolders },
  context: CommandContext,
): Promise<Target> {
  const { startLocalStack } = await import('./local-stack.ts');
  const stack = await startLocalStack({ ...options, environment: context.environment });
  const client = createClient(stack.clientOptions);
  return {
    kind: options.comfyUrl === undefined ? 'sandbox' : 'direct',
    client,
    comfyUrl: stack.comfyUrl,
    ...unpaid,
    close: async () => {
      await client.close();
      await stack.close();
    },
  };
}

async function openDirect(comfyUrl: string, folders: ComfyFolders, context: CommandContext): Promise<Target> {
  const { startDirect } = await import('./local-stack.ts');
  const direct = await startDirect({ comfyUrl, folders, environment: context.environment });
  const client = createClient(direct.clientOptions);
  context.note(`Driving the ComfyUI at ${new URL(comfyUrl).host} directly.`);
  return {
    kind: 'direct',
    client,
    comfyUrl,
    ...unpaid,
    close: async () => {
      await client.close();
      await direct.close();
    },
  };
}
