import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NodeError } from '../../../sandbox/comfyui/node-definition.ts';
import {
  bytesToFloats,
  itemToBytes,
  MAX_TENSOR_ELEMENTS,
  newTensor,
  pyRound,
  type Tensor,
} from '../../../sandbox/comfyui/nodes/tensor.ts';
import { NodeBench } from '../../support/node-bench.ts';

function row(...values: readonly number[]): Tensor {
  return { kind: 'IMAGE', batch: 1, height: 1, width: values.length, channels: 1, data: Float32Array.from(values) };
}

describe('numbers become bytes as numpy makes them', () => {
  it('clips what is out of range and turns NaN into black', () => {
    const bytes = itemToBytes(row(-3, -0.001, 0, 0.5, 0.999, 1, 1.001, 1e30, Number.NaN, Number.POSITIVE_INFINITY), 0);
    expect([...bytes]).toEqual([0, 0, 0, 127, 254, 255, 255, 255, 0, 255]);
  });

  it('gives back every byte that was loaded', () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const tensor = row(...all);
    bytesToFloats(all, tensor.data, 0);
    expect([...itemToBytes(tensor, 0)]).toEqual([...all]);
  });

  it('never leaves 0..255 whatever the numbers are', () => {
    fc.assert(
      fc.property(fc.array(fc.float(), { minLength: 1, maxLength: 50 }), (values) => {
        const bytes = itemToBytes(row(...values), 0);
        return bytes.every((byte, i) => {
          const value = values[i] ?? 0;
          return Number.isNaN(value) || value <= 0 ? byte === 0 : value < 1 || byte === 255;
        });
      }),
    );
  });
});

describe('sizes', () => {
  it('rounds halves to the even neighbour, as Python does', () => {
    expect([0.5, 1.5, 2.5, 3.49, 3.5, 4.51].map(pyRound)).toEqual([0, 2, 2, 3, 4, 5]);
  });

  it('refuses pictures that no machine has memory for, with the error of torch', () => {
    const shape = { kind: 'IMAGE', batch: 1, height: 1, width: MAX_TENSOR_ELEMENTS, channels: 3 } as const;
    expect(() => newTensor(shape)).toThrow(NodeError);
    expect(() => newTensor(shape)).toThrow(/can't allocate memory: you tried to allocate 3221225472 bytes/);
  });

  it.each(['lanczos', 'bicubic', 'nearest-exact', 'area', 'bilinear'])(
    'refuses to scale to 16384 x 16384 with %s',
    async (method) => {
      await using bench = await NodeBench.open();
      const image = newTensor({ kind: 'IMAGE', batch: 1, height: 4, width: 4, channels: 3 });
      const inputs = { image, upscale_method: method, width: 16384, height: 16384, crop: 'disabled' };
      await expect(bench.run('ImageScale', inputs)).rejects.toMatchObject({ pythonType: 'RuntimeError' });
    },
  );
});

describe('results are not shared by accident', () => {
  it('leaves the inputs of every picture node as they were', async () => {
    await using bench = await NodeBench.open();
    const image = newTensor({ kind: 'IMAGE', batch: 2, height: 8, width: 8, channels: 3 });
    for (let i = 0; i < image.data.length; i++) image.data[i] = ((i * 37) % 101) / 100;
    const before = Float32Array.from(image.data);
    const mask = newTensor({ kind: 'MASK', batch: 1, height: 4, width: 4, channels: 1 });
    mask.data.fill(0.25);
    const runs: readonly (readonly [string, Record<string, unknown>])[] = [
      ['ImageInvert', { image }],
      ['ImageBlur', { image, blur_radius: 2, sigma: 1 }],
      ['ImageSharpen', { image, sharpen_radius: 2, sigma: 1, alpha: 1 }],
      ['ImageCompositeMasked', { destination: image, source: image, x: 2, y: 1, resize_source: false, mask }],
      ['ImageFlip', { image, flip_method: 'x-axis: vertically' }],
      ['ImageScaleBy', { image, upscale_method: 'lanczos', scale_by: 1 }],
      ['ImagePadForOutpaint', { image, left: 8, top: 0, right: 0, bottom: 0, feathering: 2 }],
      ['JoinImageWithAlpha', { image, alpha: mask }],
    ];
    for (const [classType, inputs] of runs) {
      const { outputs } = await bench.run(classType, inputs);
      expect(image.data, classType).toEqual(before);
      for (const output of outputs) expect(output, classType).not.toBe(image);
    }
  });
});

describe('the event loop stays alive', () => {
  it.each([
    ['ImageBlur', { blur_radius: 15, sigma: 10 }],
    ['ImageScaleBy', { upscale_method: 'lanczos', scale_by: 1.5 }],
    ['ImageScaleBy', { upscale_method: 'bicubic', scale_by: 1.5 }],
    ['ImageRotate', { rotation: '90 degrees' }],
  ])('while %s works on a big picture', async (classType, inputs) => {
    await using bench = await NodeBench.open();
    const image = newTensor({ kind: 'IMAGE', batch: 1, height: 1000, width: 1000, channels: 3 });
    let turns = 0;
    let running = true;
    const count = (): void => {
      turns += 1;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    await bench.run(classType, { image, ...inputs });
    running = false;
    // One turn may fall before the work begins; more happen only when the work gives way.
    expect(turns).toBeGreaterThan(1);
  });
});
