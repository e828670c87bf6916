/** What is in a workflow that a person may want to change or know: prompts, seeds, files, models, outputs, values. Pure. */
import { compareNodeIds, isLink, nodeTitle, type Workflow } from '../../../shared/index.ts';
import { findClass, type ObjectInfo } from '../convert/object-info.ts';
import { findSeeds } from '../inject/seeds.ts';
import { type Spot, spotOf, textAt } from '../inject/spots.ts';
import { tracePrompts } from '../inject/trace-prompts.ts';
import { mediaLoaders } from '../media-inputs.ts';
import { pictureLoaders } from '../picture-inputs.ts';

/** A place and the value that is in it. */
export interface InspectedValue extends Spot {
  readonly value: unknown;
}

/** Everything that was found. */
export interface WorkflowInspection {
  readonly nodes: number;
  readonly prompt: readonly InspectedValue[];
  readonly negative: readonly InspectedValue[];
  /** Texts that are both at once. */
  readonly shared: readonly InspectedValue[];
  readonly seeds: readonly InspectedValue[];
  readonly images: readonly InspectedValue[];
  readonly masks: readonly InspectedValue[];
  readonly videos: readonly InspectedValue[];
  readonly audios: readonly InspectedValue[];
  /** Inputs that name model files. */
  readonly models: readonly InspectedValue[];
  readonly outputs: readonly Spot[];
  /** Every other constant, for --set. */
  readonly values: readonly InspectedValue[];
  readonly notes: readonly string[];
}

const modelName = /\.(safetensors|ckpt|pt|pth|bin|gguf|onnx|sft)$/i;
const outputClass = /^(Save|Preview)|^VHS_VideoCombine/;

/** Looks at a workflow in API format. */
export function inspectWorkflow(workflow: Workflow, objectInfo?: ObjectInfo): WorkflowInspection {
  const traced = tracePrompts(workflow, objectInfo);
  const valued = (spots: readonly Spot[]): InspectedValue[] =>
    spots.map((spot) => ({
      ...spot,
      value: textAt(workflow[spot.node], spot) ?? workflow[spot.node]?.inputs[spot.inputs[0] ?? ''],
    }));
  const masks = valued(mediaLoaders(workflow, 'mask', objectInfo));
  const found = {
    prompt: valued(traced.positive),
    negative: valued(traced.negative),
    shared: valued(traced.shared),
    seeds: valued(findSeeds(workflow, objectInfo)),
    masks,
    images: valued(pictureLoaders(workflow).map(({ node }) => spotOf(workflow, node, ['image']))),
    videos: valued(mediaLoaders(workflow, 'video', objectInfo)),
    audios: valued(mediaLoaders(workflow, 'audio', objectInfo)),
  };
  const taken = new Set(
    Object.values(found)
      .flat()
      .flatMap(({ node, inputs }) => inputs.map((input) => `${node}.${input}`)),
  );
  const constants = valued(
    Object.entries(workflow)
      .toSorted(([a], [b]) => compareNodeIds(a, b))
      .flatMap(([id, { inputs }]) =>
        Object.entries(inputs)
          .filter(([name, value]) => !isLink(value) && !taken.has(`${id}.${name}`))
          .map(([name]) => spotOf(workflow, id, [name])),
      ),
  );
  const isModel = ({ value }: InspectedValue) => typeof value === 'string' && modelName.test(value);
  return {
    nodes: Object.keys(workflow).length,
    ...found,
    models: constants.filter(isModel),
    outputs: Object.entries(workflow)
      .filter(([, node]) => findClassIsOutput(objectInfo, node.class_type))
      .map(([id, node]) => ({ node: id, classType: node.class_type, title: nodeTitle(node), inputs: [] })),
    values: constants.filter((value) => !isModel(value)),
    notes: traced.notes,
  };
}

function findClassIsOutput(objectInfo: ObjectInfo | undefined, classType: string): boolean {
  const declared = objectInfo && findClass(objectInfo, classType);
  return declared ? declared.isOutput : outputClass.test(classType);
}
