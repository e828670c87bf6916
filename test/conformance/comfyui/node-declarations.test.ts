import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { imageNodes } from '../../../sandbox/comfyui/nodes/index.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/comfyui');
const recorded = z
  .record(z.string(), z.string())
  .parse(JSON.parse(await readFile(join(fixtures, 'node-declarations/index.json'), 'utf8')));

/** Every `class_type` anywhere in a recording. */
function classesIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(classesIn);
  if (typeof value !== 'object' || value === null) return [];
  const own = 'class_type' in value && typeof value.class_type === 'string' ? [value.class_type] : [];
  return [...own, ...Object.values(value).flatMap(classesIn)];
}

describe('node classes are declared as a real ComfyUI declares them', () => {
  let comfy: ComfyStandIn;

  beforeAll(async () => {
    comfy = await startComfyStandIn();
  });

  afterAll(async () => {
    await comfy.close();
  });

  it.each(imageNodes.map(({ classType }) => classType))('%s, letter by letter', async (classType) => {
    const response = await request(`${comfy.url}/object_info/${classType}`);
    expect(await response.body.text()).toBe(recorded[classType]);
  });

  it('has every class that the recordings use, but for the one that is meant to be missing', async () => {
    const folder = join(fixtures, 'traces');
    const files = (await readdir(folder)).filter((name) => name.endsWith('.json')).map((name) => join(folder, name));
    const used = new Set<string>();
    for (const file of [...files, join(fixtures, 'goldens/index.json')]) {
      for (const name of classesIn(JSON.parse(await readFile(file, 'utf8')))) used.add(name);
    }
    const known = new Set(imageNodes.map(({ classType }) => classType));
    expect([...used].filter((name) => !known.has(name))).toEqual(['Nope']);
  });
});
