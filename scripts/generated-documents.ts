/**
 * The documents that are generated from shared/: the configuration reference, the table of error codes, and the JSON Schemas of the job
 * input and output. `scripts/generate.ts` writes them; a test compares them with what is checked in.
 */
import * as z from 'zod';
import {
  actionInputSchema,
  type BootStage,
  bootExitCodes,
  bootStages,
  clientVariables,
  descriptionSchema,
  errorPolicies,
  jobInputSchema,
  pongSchema,
  resultEnvelopeSchema,
  type VariableSpec,
  workerVariables,
} from '../shared/index.ts';

/** Path in the repository to content. */
export type Documents = Readonly<Record<string, string>>;

function variableTable(variables: Readonly<Record<string, VariableSpec>>): string {
  const rows = Object.entries(variables).map(([name, spec]) => {
    const secret = spec.secret ? ' **Secret**: never logged or shown.' : '';
    return `| \`${name}\` | ${spec.about.replaceAll('|', '\\|')}${secret} | ${spec.defaultText} |`;
  });
  return ['| variable | meaning | default |', '|---|---|---|', ...rows].join('\n');
}

function configuration(): string {
  return `# Configuration

Generated from \`shared/environment.ts\` by \`npm run generate\`; edit it there. An empty variable counts as unset. A wrong value stops the
command with \`CONFIG_INVALID\` and names the variable.

## Client

Read from the environment, then from a \`.env\` file in the current folder. With neither a key nor an endpoint the commands use the sandbox, and
say so.

${variableTable(clientVariables)}

## Worker

${variableTable(workerVariables)}
`;
}

function errors(): string {
  const rows = Object.entries(errorPolicies).map(
    ([code, policy]) =>
      `| \`${code}\` | ${policy.blame} | ${policy.retry} | ${policy.httpStatus} | ${policy.exitCode} | ${policy.nextStep} |`,
  );
  const stages = Object.entries(bootStages).map(
    ([stage, about]) => `| \`${stage}\` | ${about} | ${bootExitCodes[stage as BootStage] ?? ''} |`,
  );
  return `# Error codes

Generated from \`shared/error-codes.ts\` by \`npm run generate\`; edit it there. Every failure of the client and of the worker has one of these
codes, the same on both ends. \`retry\`: \`never\` means that the same job would fail again, \`any-worker\` that submitting it again may help,
\`later\` that waiting first may help. \`exit\` is the exit code of the command line.

| code | who has to act | retry | HTTP | exit | next step |
|---|---|---|---|---|---|
${rows.join('\n')}

## Stages of a worker's start

A stage that fails ends the process; the reason is the last line of the log. Pings, descriptions and the receipt of the first result tell how long
each stage took. From \`shared/boot.ts\`.

| stage | what happens | exit code when it fails |
|---|---|---|
${stages.join('\n')}
`;
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output', title: string): string {
  const json = z.toJSONSchema(schema, { io, unrepresentable: 'any', target: 'draft-2020-12' });
  return `${JSON.stringify({ title, ...json }, null, 2)}\n`;
}

/** Makes every generated document. */
export function generatedDocuments(): Documents {
  return {
    'docs/configuration.md': configuration(),
    'docs/errors.md': errors(),
    'docs/schema/job-input.schema.json': jsonSchema(jobInputSchema, 'input', 'comfy-runpod job input'),
    'docs/schema/action-input.schema.json': jsonSchema(actionInputSchema, 'input', 'comfy-runpod introspection job'),
    'docs/schema/description.schema.json': jsonSchema(descriptionSchema, 'output', 'comfy-runpod answer of describe'),
    'docs/schema/pong.schema.json': jsonSchema(pongSchema, 'output', 'comfy-runpod answer of ping'),
    'docs/schema/job-output.schema.json': jsonSchema(resultEnvelopeSchema, 'output', 'comfy-runpod result envelope'),
  };
}
