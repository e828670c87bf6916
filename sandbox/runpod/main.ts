// The emulator as a process, for compose files and for a container beside the worker's: `node sandbox/runpod/main.js --host 0.0.0.0 --port 8000`.
// Invariants: 1. SIGTERM and SIGINT close it and end with exit code 0. 2. Wrong arguments end with exit code 2 and one line.
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { startRunpodEmulator } from './emulator.ts';
import { DEFAULT_ENDPOINT_ID } from './options.ts';

function readArguments(argv: readonly string[]): { host: string; port: number; endpoint: string } {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '8000' },
      endpoint: { type: 'string', default: DEFAULT_ENDPOINT_ID },
    },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new RangeError('--port takes a number from 0 to 65535');
  return { host: values.host, port, endpoint: values.endpoint };
}

/** Runs the emulator until a signal ends it. */
export async function main(argv: readonly string[]): Promise<void> {
  const { host, port, endpoint } = readArguments(argv);
  const emulator = await startRunpodEmulator({ host, port, endpoints: [{ id: endpoint }] });
  process.stdout.write(`RunPod emulator: ${emulator.endpointUrl(endpoint)}\n`);
  const stop = () => void emulator.close().then(() => process.exit(0));
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`runpod emulator: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(2);
  });
}
