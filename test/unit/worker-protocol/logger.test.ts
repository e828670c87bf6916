/** W72 and W73, and what must never reach a line. */
import { describe, expect, it } from 'vitest';
import { ComfyRunpodError } from '../../../shared/index.ts';
import { createLogger, type LoggerOptions } from '../../../worker/index.ts';
import { cutMessage } from '../../../worker/logger.ts';

function logged(options: Partial<LoggerOptions>, use: (logger: ReturnType<typeof createLogger>) => void): string[] {
  const lines: string[] = [];
  use(createLogger({ level: 'debug', format: 'json', write: (line) => void lines.push(line), ...options }));
  return lines;
}

describe('the log', () => {
  it('W72: a line of JSON holds requestId, message and the level in capitals, and requestId only once', () => {
    const [plain, bound] = logged({}, (logger) => {
      logger.info({}, 'one');
      logger.child({ requestId: 'j1' }).child({ requestId: 'j2' }).warn({ ms: 5 }, 'two');
    });
    expect(JSON.parse(plain ?? '')).toEqual({ level: 'INFO', requestId: null, message: 'one' });
    expect(JSON.parse(bound ?? '')).toEqual({ level: 'WARN', requestId: 'j2', ms: 5, message: 'two' });
    expect(bound?.match(/requestId/g)).toHaveLength(1);
    expect(bound?.endsWith('\n')).toBe(true);
  });

  it('lines that name their job by jobId are found under its requestId, too', () => {
    const [line] = logged({}, (logger) => logger.child({ jobId: 'j' }).info({}, 'one'));
    expect(JSON.parse(line ?? '')).toEqual({ level: 'INFO', requestId: 'j', message: 'one' });
  });

  it('W72: a line of text has the level padded to seven characters, the job and the message', () => {
    const lines = logged({ format: 'text' }, (logger) => {
      logger.info({}, 'one');
      logger.child({ requestId: 'j1' }).error({ ms: 5 }, 'two');
    });
    expect(lines).toEqual(['INFO   | one\n', 'ERROR  | j1 | two ms=5\n']);
  });

  it('a job of a batch has the batch in front of its messages', () => {
    const [line] = logged({}, (logger) => logger.child({ requestId: 'j', batchId: 'b' }).info({}, 'one'));
    expect(JSON.parse(line ?? '')).toEqual({ level: 'INFO', requestId: 'j', message: '[batchId=b] one' });
  });

  it('W73: a message over 4096 characters keeps its beginning and its end and says how much is missing', () => {
    const cut = cutMessage(`${'a'.repeat(3_000)}${'b'.repeat(3_000)}`);
    expect(cut).toBe(`${'a'.repeat(2_048)}\n...TRUNCATED 1904 CHARACTERS...\n${'b'.repeat(2_048)}`);
    expect(cutMessage('a'.repeat(4_096))).toHaveLength(4_096);
  });

  it('levels below the chosen one are not written', () => {
    expect(logged({ level: 'warn' }, (logger) => logger.info({}, 'one'))).toEqual([]);
    expect(logged({ level: 'silent' }, (logger) => logger.error({}, 'one'))).toEqual([]);
  });

  it('fields that carry content or keys are dropped, at any depth', () => {
    const secret = 'a girl with a pearl earring';
    const fields = {
      input: secret,
      prompt: { text: secret },
      apiKey: secret,
      headers: { authorization: secret },
      nested: { output: secret, data: Buffer.from(secret), deeper: { evenDeeper: { x: secret } }, ok: 1 },
    };
    const [line] = logged({}, (logger) => logger.child(fields).info(fields, 'one'));
    expect(line).not.toContain('pearl');
    expect(JSON.parse(line ?? '')).toMatchObject({ nested: { ok: 1 } });
  });

  it('known keys and the query of an address are masked wherever they appear', () => {
    const [line] = logged({ secrets: ['rp-key-1', undefined, ''] }, (logger) =>
      logger.info({ why: 'key rp-key-1' }, 'GET https://bucket/x.png?X-Amz-Signature=abc and rp-key-1 failed'),
    );
    expect(line).not.toMatch(/rp-key-1|Signature/);
    expect(line).toContain('https://bucket/x.png?[query not logged]');
  });

  it('of an error of ours the message is written, of any other only its name, code and place', () => {
    const foreign = Object.assign(new Error('text of a caller'), { code: 'EPIPE' });
    const own = new ComfyRunpodError('NODE_FAILED', 'A node failed.', { cause: foreign });
    const [line] = logged({}, (logger) => logger.error({ error: own }, 'one'));
    expect(JSON.parse(line ?? '')).toMatchObject({
      error: { code: 'NODE_FAILED', message: 'A node failed.', cause: { name: 'Error', code: 'EPIPE' } },
    });
    expect(line).not.toContain('text of a caller');
  });

  it('a field of unreasonable size is cut', () => {
    const [line] = logged({}, (logger) => logger.info({ why: 'x'.repeat(100_000), list: Array(1_000).fill(1) }, 'one'));
    expect(line?.length).toBeLessThan(3_000);
  });
});
