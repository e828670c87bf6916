/** Workflows: reading, converting, changing. Pure: runs in Node and in a browser. */

export { type Conversion, type ConvertOptions, convertWorkflow } from './convert/convert-workflow.ts';
export type { ObjectInfo } from './convert/object-info.ts';
export type { ConversionEntry, ConversionReport } from './convert/report.ts';
export { type EmbeddedWorkflow, readEmbeddedWorkflow } from './embedded/read-embedded-workflow.ts';
export { type Assignment, parseAssignment } from './inject/assignment.ts';
export {
  type InjectedChange,
  type InjectionReport,
  type InjectionRequest,
  type InjectOptions,
  injectWorkflow,
} from './inject/inject-workflow.ts';
export { findSeeds } from './inject/seeds.ts';
export type { Spot } from './inject/spots.ts';
export { type TracedPrompts, tracePrompts } from './inject/trace-prompts.ts';
export { type InspectedValue, inspectWorkflow, type WorkflowInspection } from './inspect/inspect-workflow.ts';
export { type MediaRequest, type MediaRole, mediaLoaders, placeMedia } from './media-inputs.ts';
export { type PromptError, type PromptRefusal, promptRefusal } from './validate/prompt-answer.ts';
export { type ValidateOptions, validateWorkflow } from './validate/validate-workflow.ts';
export type {
  AdviceKind,
  ValidationAdvice,
  ValidationError,
  ValidationErrorType,
  WorkflowValidation,
} from './validate/validation.ts';
