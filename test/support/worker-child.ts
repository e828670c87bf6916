// A worker process as the command starts it, with the scripted runner in place of ComfyUI. Started by tests as a process of its own.
import { runWorkerProcess } from '../../worker/index.ts';
import { ScriptedRunner } from './scripted-runner.ts';

process.exitCode = await runWorkerProcess(process.env, {
  createRunner: () => Promise.resolve({ runner: new ScriptedRunner(), close: () => Promise.resolve() }),
});
