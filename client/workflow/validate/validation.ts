/** What the validation of a workflow says, in the words of ComfyUI's own answer where it would refuse (ComfyUI protocol notes §1.3.3 to §1.3.6). */

/** Error types as ComfyUI names them. */
export type ValidationErrorType =
  | 'invalid_prompt'
  | 'prompt_no_outputs'
  | 'required_input_missing'
  | 'bad_linked_input'
  | 'return_type_mismatch'
  | 'invalid_input_type'
  | 'value_smaller_than_min'
  | 'value_bigger_than_max'
  | 'value_not_in_list'
  | 'exception_during_validation'
  | 'exception_during_inner_validation'
  | 'dependency_cycle';

/** One thing that ComfyUI would refuse. `details` and `extra_info` may hold the value in question: they are for the person whose workflow it is. */
export interface ValidationError {
  readonly type: ValidationErrorType;
  /** ComfyUI's own sentence. */
  readonly message: string;
  readonly details: string;
  readonly extra_info: Readonly<Record<string, unknown>>;
  /** Node, class and title; missing where it is about the whole workflow. */
  readonly node?: string;
  readonly classType?: string;
  readonly title?: string;
  readonly input?: string;
  /** The same without values, in plain words: fit for messages and logs. */
  readonly summary: string;
  /** Names that exist and look like the one that does not, the nearest first. */
  readonly nearest?: readonly string[];
}

/** Kinds of advice. */
export type AdviceKind =
  | 'class_unknown'
  | 'model_unknown'
  | 'value_doubtful'
  | 'link_doubtful'
  | 'link_expected'
  | 'no_output'
  | 'unreached'
  | 'model_loaded_twice'
  | 'preview'
  | 'only_previews'
  | 'large_png'
  | 'not_checked';

/** Something worth knowing that stops nothing. */
export interface ValidationAdvice {
  readonly kind: AdviceKind;
  readonly message: string;
  readonly nodes: readonly string[];
  readonly nearest?: readonly string[];
}

/** The result of a validation. */
export interface WorkflowValidation {
  readonly errors: readonly ValidationError[];
  readonly advice: readonly ValidationAdvice[];
}
