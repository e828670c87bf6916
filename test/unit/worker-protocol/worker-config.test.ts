import { describe, expect, it } from 'vitest';
import { isComfyRunpodError } from '../../../shared/index.ts';
import { explainMissing, readLogConfig, readWorkerConfig } from '../../../worker/index.ts';

const runpod = {
  RUNPOD_WEBHOOK_GET_JOB: 'https://host/v2/ep/job-take/$ID?gpu=A+B',
  RUNPOD_WEBHOOK_POST_OUTPUT: 'https://host/v2/ep/job-done/$RUNPOD_POD_ID/$ID?gpu=A+B',
};
const attached = { ...runpod, COMFY_URL: 'http://127.0.0.1:8188/' };
const started = { ...runpod, COMFY_DIR: '/ComfyUI' };

function failure(environment: Record<string, string>) {
  try {
    readWorkerConfig(environment);
  } catch (error) {
    if (isComfyRunpodError(error)) return { code: error.code, fields: error.issues.map((issue) => issue.field) };
    throw error;
  }
  return undefined;
}

describe('configuration of the worker', () => {
  it("without RunPod's variables it says which are missing and which command helps instead", () => {
    const error = explainMissing({ RUNPOD_WEBHOOK_GET_JOB: ' ' });
    expect(error).toMatchObject({ code: 'CONFIG_MISSING' });
    expect(error?.message).toContain('RUNPOD_WEBHOOK_GET_JOB and RUNPOD_WEBHOOK_POST_OUTPUT');
    expect(error?.nextStep).toContain('comfy-runpod dev');
    expect(explainMissing(runpod)).toBeUndefined();
    expect(readWorkerConfig({ COMFY_URL: 'http://127.0.0.1:1' }).runpod).toBeUndefined();
  });

  it('without a ComfyUI it names both ways to give it one', () => {
    expect(failure(runpod)).toEqual({ code: 'CONFIG_MISSING', fields: ['COMFY_URL', 'COMFY_DIR'] });
  });

  it('an address of ComfyUI attaches to it, over HTTP unless its folders are given', () => {
    expect(readWorkerConfig(attached).comfy).toEqual({
      kind: 'attach',
      url: 'http://127.0.0.1:8188',
      exclusive: false,
      startTimeoutMs: 600_000,
    });
    const folders = { COMFY_INPUT_DIR: '/i', COMFY_OUTPUT_DIR: '/o', COMFY_TEMP_DIR: '/t/temp' };
    expect(readWorkerConfig({ ...attached, ...folders }).comfy).toMatchObject({
      directories: { input: '/i', output: '/o', temp: '/t/temp' },
    });
  });

  it('folders that are given in part, or not from the root, are refused by name', () => {
    expect(failure({ ...attached, COMFY_INPUT_DIR: '/i' })).toEqual({
      code: 'CONFIG_INVALID',
      fields: ['COMFY_OUTPUT_DIR', 'COMFY_TEMP_DIR'],
    });
    const relative = { COMFY_INPUT_DIR: '/i', COMFY_OUTPUT_DIR: 'o', COMFY_TEMP_DIR: '/t' };
    expect(failure({ ...attached, ...relative })).toEqual({ code: 'CONFIG_INVALID', fields: ['COMFY_OUTPUT_DIR'] });
  });

  it("a folder of ComfyUI is started, with everything of the environment but RunPod's variables", () => {
    const config = readWorkerConfig({ ...started, RUNPOD_AI_API_KEY: 'key', HOME: '/root' });
    expect(config.comfy).toEqual({
      kind: 'start',
      dir: '/ComfyUI',
      python: 'python3',
      port: 8188,
      args: [],
      environment: { COMFY_DIR: '/ComfyUI', HOME: '/root' },
      startTimeoutMs: 600_000,
      workspaceDir: '/dev/shm/comfy-runpod',
    });
  });

  it.each([
    ['--cpu  --lowvram', ['--cpu', '--lowvram']],
    ['["--base", "with space"]', ['--base', 'with space']],
  ])('COMFY_ARGS %s gives %j', (text, args) => {
    expect(readWorkerConfig({ ...started, COMFY_ARGS: text }).comfy).toMatchObject({ args });
  });

  it.each(['[1]', '["a"', '["a", {}]'])('COMFY_ARGS %s is refused', (text) => {
    expect(failure({ ...started, COMFY_ARGS: text })).toEqual({ code: 'CONFIG_INVALID', fields: ['COMFY_ARGS'] });
  });

  it('the pod id is the id of the worker; without one it is made up', () => {
    expect(readWorkerConfig({ ...attached, RUNPOD_POD_ID: 'pod' }).runpod).toMatchObject({
      workerId: 'pod',
      podId: 'pod',
    });
    const made = readWorkerConfig(attached).runpod;
    expect(made?.workerId).toMatch(/^[0-9a-f-]{36}$/);
    expect(made).not.toHaveProperty('podId');
  });

  it("other placeholders of a template are filled from RunPod's variables, and a key never is", () => {
    const config = readWorkerConfig({
      ...attached,
      RUNPOD_WEBHOOK_GET_JOB: 'https://host/job-take/$ID?gpu=$RUNPOD_GPU_TYPE_ID&k=$RUNPOD_AI_API_KEY&x=$UNKNOWN',
      RUNPOD_GPU_TYPE_ID: 'NVIDIA A100',
      RUNPOD_AI_API_KEY: 'key',
    });
    expect(config.runpod?.takeTemplate).toBe(
      'https://host/job-take/$ID?gpu=NVIDIA+A100&k=$RUNPOD_AI_API_KEY&x=$UNKNOWN',
    );
  });

  it('an address template that is no address is refused by name', () => {
    expect(failure({ ...attached, RUNPOD_WEBHOOK_POST_OUTPUT: 'JOB_DONE_URL' })).toEqual({
      code: 'CONFIG_INVALID',
      fields: ['RUNPOD_WEBHOOK_POST_OUTPUT'],
    });
  });

  it('W74: WARNING counts as WARN; an unknown level warns and falls back to info', () => {
    expect(readWorkerConfig({ ...attached, RUNPOD_LOG_LEVEL: 'WARNING' })).toMatchObject({
      log: { level: 'warn' },
      warnings: [],
    });
    expect(readWorkerConfig({ ...attached, RUNPOD_LOG_LEVEL: '7' })).toMatchObject({
      log: { level: 'info' },
      warnings: [expect.stringContaining('RUNPOD_LOG_LEVEL')],
    });
  });

  it('the log is JSON where RunPod collects it', () => {
    expect(readLogConfig({}).format).toBe('text');
    expect(readLogConfig({ RUNPOD_ENDPOINT_ID: 'ep' }).format).toBe('json');
  });
});
