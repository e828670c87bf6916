/** Input files by reference: fetched from an address, or held from an earlier job. */

export { type FetchedInput, type FetchOptions, type FetchPolicy, fetchInput } from './fetch-input.ts';
export { HeldInputs, type HeldInputsOptions, type WipeFile } from './held-inputs.ts';
export { type InputsReport, JobInputs, type JobInputsOptions, type ResolvedInputs } from './job-inputs.ts';
