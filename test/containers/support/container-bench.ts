// Containers of the image under test, around an emulator that runs in the test itself: what RunPod would see can be looked at and broken. The
// emulator listens on loopback, as everywhere; a forwarder on the engine's own bridge lets containers reach it, and nobody else.
import { type AddressInfo, connect, createServer } from 'node:net';
import type { Readable } from 'node:stream';
import {
  type ExecResult,
  GenericContainer,
  getContainerRuntimeClient,
  type StartedTestContainer,
  StartupCheckStrategy,
  type StartupStatus,
} from 'testcontainers';
import { afterEach, inject } from 'vitest';
import { type Client, createClient, type JobResult } from '../../../client/index.ts';
import { type EndpointOptions, type RunpodEmulator, startRunpodEmulator } from '../../../sandbox/runpod/index.ts';

/** Name of the image under test; '' where no engine answers. */
export const image = inject('image');

/** For `describe.skipIf`. */
export const noEngine = image === '';

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Runs `cleanup` after the current test, last registered first. */
export function afterThisTest(cleanup: () => Promise<unknown>): void {
  cleanups.push(cleanup);
}

/** An emulated endpoint that containers can reach. */
export interface TestEndpoint {
  readonly emulator: RunpodEmulator;
  /** The real client, over loopback. */
  readonly client: Client;
  /** What the platform would set in a worker's container. */
  workerEnvironment(podId?: string): Record<string, string>;
}

/** Starts an endpoint for the current test. */
export async function startEndpoint(options: Partial<EndpointOptions> = {}): Promise<TestEndpoint> {
  const emulator = await startRunpodEmulator({ endpoints: [{ id: 'ep1', pingIntervalMs: 1_000, ...options }] });
  afterThisTest(() => emulator.close());
  const reachable = await onBridge(Number(new URL(emulator.url).port));
  const client = createClient({
    apiKey: 'sandbox',
    endpointId: 'ep1',
    baseUrl: emulator.baseUrl,
    pollIntervalMs: 500,
    maxPollDurationMs: 90_000,
  });
  afterThisTest(() => client.close());
  return {
    emulator,
    client,
    workerEnvironment: (podId = 'pod-1') =>
      Object.fromEntries([
        ...Object.entries(emulator.workerEnvironment({ endpointId: 'ep1', podId })).map(([name, value]) => [
          name,
          value.replaceAll(emulator.url, reachable),
        ]),
        // The sandbox's ComfyUI needs no GPU, and there is none here.
        ['ALLOW_CPU', '1'],
      ]),
  };
}

/** Makes a loopback port of this machine reachable for containers, for the current test; answers its address as they see it. */
export async function onBridge(port: number): Promise<string> {
  const { container } = await getContainerRuntimeClient();
  const network: unknown = await container.dockerode.getNetwork('bridge').inspect();
  const address = bridgeAddress(network);
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, address, resolve));
  afterThisTest(async () => void server.close());
  return `http://${address}:${(server.address() as AddressInfo).port}`;
}

/** The IPv4 address of this machine on the engine's bridge: its gateway, which engines leave out when it is the first address of the subnet. */
function bridgeAddress(network: unknown): string {
  const { IPAM } = network as { IPAM?: { Config?: { Gateway?: string; Subnet?: string }[] } };
  const config = IPAM?.Config?.find(({ Subnet }) => Subnet?.includes('.'));
  const address = config?.Gateway ?? config?.Subnet?.replace(/\.0\/\d+$/, '.1');
  if (address === undefined) throw new Error('the bridge network of this Docker Engine has no IPv4 address');
  return address;
}

/** How to run the image; everything is optional. */
export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  /** Size of /dev/shm. Default 512 MiB: more than the worker asks for. */
  readonly sharedMemoryBytes?: number;
  readonly user?: string;
  readonly readOnlyRoot?: boolean;
  readonly tmpfs?: Readonly<Record<string, string>>;
  readonly mounts?: readonly { readonly source: string; readonly target: string; readonly mode?: 'ro' | 'rw' }[];
  readonly ports?: readonly number[];
}

/** A container that was started, and may have ended. */
export interface RunningContainer {
  readonly container: StartedTestContainer;
  /** Everything on its standard output and standard error so far. */
  log(): string;
  /** Waits for its end and answers the exit code. */
  exitCode(): Promise<number>;
  /** Runs a command in it. */
  exec(...command: readonly string[]): Promise<ExecResult>;
  /** Runs a line of shell in it; fails when that fails. */
  shell(line: string): Promise<string>;
  /** Its address on the bridge. */
  address(): Promise<string>;
  /** What the engine makes of its health check. */
  health(): Promise<string | undefined>;
}

/** Started is enough: what a test waits for, it says itself. */
class Started extends StartupCheckStrategy {
  override checkStartupState(): Promise<StartupStatus> {
    return Promise.resolve('SUCCESS');
  }
}

class Image extends GenericContainer {
  readOnlyRoot(): this {
    this.hostConfig.ReadonlyRootfs = true;
    return this;
  }
}

/** Runs the image for the current test. */
export async function runImage(options: RunOptions = {}): Promise<RunningContainer> {
  const lines: string[] = [];
  const definition = new Image(image)
    .withEnvironment({ ...options.environment })
    .withSharedMemorySize(options.sharedMemoryBytes ?? 512 * 2 ** 20)
    .withLogConsumer(
      (stream: Readable) => void stream.on('data', (chunk: Buffer | string) => lines.push(String(chunk))),
    )
    .withWaitStrategy(new Started());
  if (options.command) definition.withCommand([...options.command]);
  if (options.user !== undefined) definition.withUser(options.user);
  if (options.readOnlyRoot) definition.readOnlyRoot();
  if (options.tmpfs) definition.withTmpFs({ ...options.tmpfs });
  if (options.mounts) definition.withBindMounts(options.mounts.map((mount) => ({ ...mount })));
  if (options.ports) definition.withExposedPorts(...options.ports);
  const container = await definition.start();
  const { container: engine } = await getContainerRuntimeClient();
  const handle = engine.getById(container.getId());
  // By the engine itself: a container that a test has stopped already is removed, too.
  afterThisTest(() => handle.remove({ force: true, v: true }));
  const exec = (...command: readonly string[]) => container.exec([...command]);
  return {
    container,
    log: () => lines.join(''),
    exitCode: async () => ((await handle.wait()) as { StatusCode: number }).StatusCode,
    exec,
    shell: async (line) => {
      const result = await exec('sh', '-c', line);
      if (result.exitCode !== 0) throw new Error(`\`${line}\` ended with code ${result.exitCode}: ${result.output}`);
      return result.stdout;
    },
    health: async () => (await handle.inspect()).State.Health?.Status,
    address: async () => (await handle.inspect()).NetworkSettings.Networks['bridge']?.IPAddress ?? '',
  };
}

/** A job's envelope, or its error thrown. */
export function envelopeOf(result: JobResult) {
  if (result.kind !== 'succeeded') throw result.error;
  return result.envelope;
}
