// Runs once before the container tests: is there a Docker Engine, and the image under test on it? Where there is no engine, one line says so and
// every test is skipped by name.
import { execa } from 'execa';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Name of the image under test, or '' where no engine answers. */
    readonly image: string;
  }
}

/** Builds the image, or takes the one that COMFY_RUNPOD_TEST_IMAGE names. */
export async function setup(project: TestProject): Promise<void> {
  const engine = await execa('docker', ['version', '--format', '{{.Server.Version}}'], {
    reject: false,
    timeout: 20_000,
  });
  if (engine.exitCode !== 0) {
    process.stdout.write('No Docker Engine answers here: the container tests are skipped.\n');
    project.provide('image', '');
    return;
  }
  const started = Date.now();
  const given = process.env['COMFY_RUNPOD_TEST_IMAGE'];
  const image = given ?? (await execa('sh', ['scripts/build-test-image.sh'], { stderr: 'inherit' })).stdout.trim();
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  process.stdout.write(
    `Docker Engine ${engine.stdout}; image under test: ${image}${given ? '' : `, built in ${seconds} s`}\n`,
  );
  project.provide('image', image);
}
