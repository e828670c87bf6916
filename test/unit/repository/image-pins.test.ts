/** Everything that the image pins stands in docker/versions.env; what repeats it says the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '../../..');
const text = (path: string) => readFileSync(join(root, path), 'utf8');
const pins = new Map(
  text('docker/versions.env')
    .split('\n')
    .filter((line) => /^[A-Z]/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);

describe('the pins of the image', () => {
  it('are what the Dockerfile falls back to', () => {
    const defaults = [...text('Dockerfile').matchAll(/^ARG ([A-Z_]+)=(.+)$/gm)].filter(([, name]) =>
      pins.has(name ?? ''),
    );
    expect(defaults.length).toBeGreaterThan(10);
    for (const [, name = '', value] of defaults) expect([name, value]).toEqual([name, pins.get(name)]);
    const used = new Set(defaults.map(([, name]) => name));
    expect([...pins.keys()].filter((name) => !/^(CUDA|TEST)_/.test(name) && !used.has(name))).toEqual([]);
  });

  it('name versions: no `latest`, no bare image name', () => {
    for (const [name, value] of pins) {
      if (name !== 'COMFYUI_REPOSITORY') expect([name, value]).toEqual([name, expect.stringMatching(/\d/)]);
      expect(value).not.toMatch(/latest/);
    }
  });

  it('have the Node that the repository is tested with', () => {
    const lock = JSON.parse(text('package-lock.json')) as { packages: Record<string, { version?: string }> };
    expect(pins.get('NODE_IMAGE')).toBe(`node:${lock.packages['node_modules/node']?.version}-bookworm-slim`);
  });

  it('have a base and a matching PyTorch index for every CUDA variant, and the default is one of them', () => {
    for (const variant of ['126', '128', '130']) {
      expect(pins.get(`CUDA_${variant}_BASE_IMAGE`)).toContain(
        `nvidia/cuda:${variant.slice(0, 2)}.${variant.slice(2)}.`,
      );
      expect(pins.get(`CUDA_${variant}_TORCH_INDEX`)).toMatch(new RegExp(`/cu${variant}$`));
    }
    expect(pins.get('BASE_IMAGE')).toBe(pins.get('CUDA_128_BASE_IMAGE'));
    expect(pins.get('TORCH_INDEX')).toBe(pins.get('CUDA_128_TORCH_INDEX'));
  });

  it('are built by the release workflow, one image for every CUDA variant', () => {
    const workflow = parse(text('.github/workflows/release.yml')) as {
      jobs: { image: { strategy: { matrix: { cuda: string[] } } } };
    };
    expect(workflow.jobs.image.strategy.matrix.cuda).toEqual(['126', '128', '130']);
  });
});

describe('the files of the image', () => {
  it('keep logic out of the entrypoint: 15 lines at most', () => {
    expect(text('docker/entrypoint.sh').trimEnd().split('\n').length).toBeLessThanOrEqual(15);
  });

  it('need no Dockerfile frontend and no BuildKit mounts, so that old engines build them', () => {
    expect(text('Dockerfile')).not.toMatch(/^# *syntax=|--mount=|--chmod=|--link|<<EOF/m);
  });
});
