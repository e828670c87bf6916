/** What ComfyUI prints is read for the last lines before its end, and never carries what a job sent into an error or our log. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogTail } from '../../worker/comfy/log-tail.ts';

const marker = 'MARKER prompt of somebody';

/** Lines as ComfyUI and its nodes print them around a value. */
const shapes: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => `got prompt ${text}`,
  (text) => `Failed to validate prompt for output 9:\n* KSampler 3:\n  - Value not in list: '${text}' not in ['euler']`,
  (text) => `!!! Exception during processing !!! ${text}`,
  (text) => `ValueError: ${text}`,
  (text) => `  File "${text}", line 12, in execute`,
  (text) => `  File "/app/${text}.py", line 12, in execute`,
  (text) => `Exception in thread ${text}:`,
  (text) => `Killed ${text}`,
  (text) => `Segmentation fault ${text}`,
  (text) => `terminate called after throwing an instance of '${text}'`,
  (text) => `malloc(): ${text}`,
  (text) => `Prompt executed in ${text} seconds`,
  (text) => `Fatal Python error: ${text}`,
  (text) => `RuntimeError: CUDA error: ${text}`,
  (text) => `   0.1 seconds (IMPORT FAILED): /app/custom_nodes/${text}`,
  (text) => ` 35%|███▌      | 7/20 [00:01<00:02, 5.01it/s] ${text}`,
  (text) => `  "text": ${JSON.stringify(text)},`,
];

describe("ComfyUI's log", () => {
  it.each(shapes.map((shape) => [shape(marker).slice(0, 60), shape] as const))(
    'lets nothing through of: %s',
    (_, shape) => {
      const tail = new LogTail();
      tail.promptsBegin();
      tail.add('stderr', `${shape(marker)}\n`);
      tail.add('stdout', shape(marker));
      expect(tail.text()).not.toContain('MARKER');
      expect(tail.failedPacks).toEqual([]);
    },
  );

  it('lets nothing through however the text is cut, mixed and repeated', () => {
    const printed = fc.array(fc.tuple(fc.constantFrom(...shapes), fc.constantFrom('\n', '\r', '\r\n')), {
      minLength: 1,
    });
    fc.assert(
      fc.property(printed, fc.array(fc.nat(400)), (lines, cuts) => {
        const text = lines.map(([shape, end]) => shape(marker) + end).join('');
        const tail = new LogTail();
        tail.add('stderr', text);
        tail.promptsBegin();
        let from = 0;
        for (const to of [...cuts, text.length].toSorted((a, b) => a - b)) {
          tail.add('stderr', text.slice(from, to));
          from = Math.min(to, text.length);
        }
        expect(tail.text()).not.toContain('MARKER');
      }),
    );
  });

  it('keeps where Python was, the class of what was raised, and the words of a dying process', () => {
    const tail = new LogTail();
    tail.promptsBegin();
    const kept = [
      'Traceback (most recent call last):',
      '  File "/app/custom_nodes/Pack-1.0/nodes.py", line 12, in <module>',
      'Exception in thread Thread-6 (prompt_worker):',
      'RuntimeError: CUDA error: an illegal memory access was encountered',
      'Fatal Python error: Segmentation fault',
      'Segmentation fault (core dumped)',
      'Prompt executed in 1.25 seconds',
    ];
    tail.add('stderr', `${kept.join('\n')}\ntorch.cuda.OutOfMemoryError: Allocation of ${marker}\n`);
    expect(tail.text()).toBe([...kept, 'torch.cuda.OutOfMemoryError'].join('\n'));
  });

  it('names the packs that failed to import, once each, whatever the path looks like', () => {
    const tail = new LogTail();
    tail.add(
      'stderr',
      'Import times for custom nodes:\n   0.0 seconds: /app/custom_nodes/fine\n   0.3 seconds (IMPORT FAI',
    );
    tail.add('stderr', 'LED): /app/custom_nodes/ComfyUI-A\n   1.0 seconds (IMPORT FAILED): C:\\nodes\\pack b\\\r\n');
    tail.add('stderr', '   0.3 seconds (IMPORT FAILED): /app/custom_nodes/ComfyUI-A\n');
    expect(tail.failedPacks).toEqual(['ComfyUI-A', 'pack b']);
  });
});
