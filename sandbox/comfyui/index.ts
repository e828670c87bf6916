// Public face of the ComfyUI stand-in (docs/sandbox-comfyui.md).
export type { CacheMode } from './cache/cache-set.ts';
export { type ArmedFault, FaultController } from './faults/fault-controller.ts';
export { type Fault, type FaultInput, type FaultKind, faultSchema, faultScriptSchema } from './faults/fault-schema.ts';
export type { AiohttpDialect } from './http/answers.ts';
export { type ComfyProfile, ExecutionBlocker, type NodeDefinition, NodeError } from './node-definition.ts';
export { type ComfyStandIn, type StandInInspection, startComfyStandIn } from './stand-in.ts';
export type { ComfyStandInOptions, StandInDirectories } from './stand-in-options.ts';
export type { OutMessage } from './websocket/out-message.ts';
