/** Collects what a validation finds, up to a bound: a broken workflow of ten thousand nodes must not fill the memory. */
import type { AdviceKind, ValidationAdvice, ValidationError, WorkflowValidation } from './validation.ts';

const most = 1_000;

/** Errors and advice so far. */
export class Findings {
  readonly #errors: ValidationError[] = [];
  readonly #advice: ValidationAdvice[] = [];

  error(error: ValidationError): void {
    if (this.#errors.length < most) this.#errors.push(error);
  }

  advise(kind: AdviceKind, nodes: readonly string[], message: string, nearest: readonly string[] = []): void {
    if (this.#advice.length >= most) return;
    this.#advice.push({ kind, message, nodes, ...(nearest.length > 0 && { nearest }) });
  }

  result(): WorkflowValidation {
    return { errors: this.#errors, advice: this.#advice };
  }
}
