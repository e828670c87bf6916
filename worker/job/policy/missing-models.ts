/** Refuses graphs that name a model which the worker should have and has not, with the reason, before ComfyUI finds out in its own words. Pure. */
import { ComfyRunpodError, type MissingModel, type Workflow } from '../../../shared/index.ts';

/** Throws `MODEL_MISSING` for the first inputs that hold the name of a missing model. */
export function assertModels(workflow: Workflow, missing: readonly MissingModel[]): void {
  if (missing.length === 0) return;
  const byName = new Map(missing.map((model) => [model.name, model]));
  const found = Object.entries(workflow).flatMap(([node, { class_type: classType, inputs }]) =>
    Object.entries(inputs).flatMap(([field, value]) => {
      const model = typeof value === 'string' ? byName.get(value.replaceAll('\\', '/')) : undefined;
      return model === undefined ? [] : [{ node, classType, field, model }];
    }),
  );
  const first = found[0];
  if (first === undefined) return;
  const { node, classType, model } = first;
  throw new ComfyRunpodError(
    'MODEL_MISSING',
    `Node ${node} (${classType}) needs ${model.name}, which this worker could not get. ${model.reason}`,
    {
      issues: found.map(({ model: { name, code }, ...place }) => ({
        ...place,
        message: `${name} is missing (${code})`,
      })),
      details: { model: model.name, reason: model.code },
    },
  );
}
