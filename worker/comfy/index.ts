/** Driving ComfyUI: connection, execution, process. */

export type { LaunchOptions } from './comfy-process.ts';
export { type ComfyConfig, type ComfyConnection, type ComfySource, connectComfy } from './connection.ts';
export type { FileTransfer, Upload } from './file-transfer.ts';
export type { ComfyInspection } from './inspect-server.ts';
export type { ComfyDirectories } from './launch-arguments.ts';
export { sendsPictures } from './socket-pictures.ts';
export type {
  ComfyCapabilities,
  ComfyFile,
  ComfyServer,
  ComfyTimings,
  Execution,
  ExecutionRequest,
  GpuMemory,
  NodeClass,
  NodeInput,
  NodeOutputs,
  PreviewImage,
  RunSnapshot,
  SocketPictures,
} from './types.ts';
